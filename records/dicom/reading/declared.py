"""What a sender states beside the files, for those that don't say it themselves."""

import datetime as dt
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from records.dicom.errors import InvalidField

CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")
NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\\]")
SEXES = ("", "F", "M", "O")
NAME_PARTS = 5
EARLIEST_DATE = dt.date(1850, 1, 1)


@dataclass(frozen=True, slots=True)
class DeclaredFields:
    """Patient and study fields in DICOM's words; all may be left out.

    They fill what a file doesn't say and never replace what it does.
    """

    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: dt.date | None = None
    sex: str = ""
    modality: str = ""
    body_part: str = ""
    view_position: str = ""
    study_description: str = ""
    study_date: dt.date | None = None
    accession_number: str = ""

    def as_json(self) -> dict[str, Any]:
        """The stated fields, with dates as text."""
        stated = {name: value for name, value in asdict(self).items() if value}
        return {
            name: value.isoformat() if isinstance(value, dt.date) else value
            for name, value in stated.items()
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "DeclaredFields":
        """The reverse of `as_json`."""
        values = dict(stored)
        for name in ("birth_date", "study_date"):
            if name in values:
                values[name] = dt.date.fromisoformat(values[name])
        return cls(**values)


TEXT_LENGTHS = {
    "patient_id": 64,
    "issuer": 64,
    "patient_name": 324,
    "study_description": 64,
    "accession_number": 16,
}
CODE_FIELDS = ("sex", "modality", "body_part", "view_position")


def check_declared(declared: DeclaredFields) -> DeclaredFields:
    """Return the fields cleaned as DICOM writes them; raise InvalidField for what it can't."""
    cleaned: dict[str, Any] = {}
    for field in fields(declared):
        value = getattr(declared, field.name)
        if field.name in CODE_FIELDS:
            cleaned[field.name] = _checked_code(field.name, value)
        elif field.name in TEXT_LENGTHS:
            cleaned[field.name] = _checked_text(field.name, value)
        elif value is not None:
            _check_date(field.name, value)
    if cleaned["sex"] not in SEXES:
        raise _invalid("sex", "must be F, M or O, or left out.")
    cleaned["patient_name"] = _as_person_name(cleaned["patient_name"])
    return replace(declared, **cleaned)


def _checked_code(name: str, value: str) -> str:
    code = value.strip().upper()
    if not CODE_STRING.fullmatch(code):
        raise _invalid(name, "may hold up to 16 letters, digits, spaces and underscores.")
    return code


def _checked_text(name: str, value: str) -> str:
    text = value.strip()
    limit = TEXT_LENGTHS[name]
    if len(text) > limit:
        raise _invalid(name, f"may be at most {limit} characters long.")
    if NOT_TEXT.search(text):
        raise _invalid(name, "may hold no backslash and no control characters.")
    return text


def _check_date(name: str, value: dt.date) -> None:
    # A day ahead of us it may already be tomorrow.
    latest = dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1)
    if not EARLIEST_DATE <= value <= latest:
        raise _invalid(name, "must be a date in the past.")


def _as_person_name(text: str) -> str:
    """Write "Family, Given Middle" as DICOM does; leave what is already so."""
    if "=" in text:
        raise _invalid("patient_name", "may hold no equals sign.")
    if "^" in text:
        if text.count("^") >= NAME_PARTS:
            raise _invalid("patient_name", f"may have at most {NAME_PARTS} parts.")
        return text
    family, _, given = text.partition(",")
    return "^".join(part for part in (family.strip(), *given.split(maxsplit=1)) if part)


def _invalid(name: str, problem: str) -> InvalidField:
    return InvalidField(field=name, label=name.replace("_", " ").capitalize(), problem=problem)
