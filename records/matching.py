"""DICOM query keys as database filters, and rows as answers (PS3.4 C.2.2.2).

One table per level says which keys are known, where each one lies from that level's model and
how it is matched. C-FIND uses it; nothing in it knows of a network.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Q

from records.errors import QueryInvalid


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052) of the study root."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class Kind(StrEnum):
    """How a key is matched."""

    TEXT = "text"
    NAME = "name"
    UID = "uid"
    DATE = "date"
    TIME = "time"
    NUMBER = "number"
    CODES = "codes"


@dataclass(frozen=True, slots=True)
class Key:
    """Where a key's value lies, as Django writes paths; one that is only counted can't be asked."""

    path: str
    kind: Kind
    is_matched: bool = True


STUDY_KEYS = {
    "StudyInstanceUID": Key("study_instance_uid", Kind.UID),
    "PatientID": Key("patient__mrn", Kind.TEXT),
    "IssuerOfPatientID": Key("patient__issuer", Kind.TEXT),
    "PatientName": Key("patient__name", Kind.NAME),
    "PatientBirthDate": Key("patient__birth_date", Kind.DATE),
    "PatientSex": Key("patient__sex", Kind.TEXT),
    "AccessionNumber": Key("accession_number", Kind.TEXT),
    "StudyDate": Key("study_date", Kind.DATE),
    "StudyTime": Key("study_time", Kind.TIME),
    "StudyDescription": Key("description", Kind.TEXT),
    "ModalitiesInStudy": Key("modalities", Kind.CODES),
    "NumberOfStudyRelatedSeries": Key("series_count", Kind.NUMBER, is_matched=False),
    "NumberOfStudyRelatedInstances": Key("instance_count", Kind.NUMBER, is_matched=False),
}
SERIES_KEYS = {
    "SeriesInstanceUID": Key("series_instance_uid", Kind.UID),
    "SeriesNumber": Key("series_number", Kind.NUMBER),
    "Modality": Key("modality", Kind.TEXT),
    "BodyPartExamined": Key("body_part_examined", Kind.TEXT),
    "SeriesDescription": Key("description", Kind.TEXT),
    "Laterality": Key("laterality", Kind.TEXT),
    "NumberOfSeriesRelatedInstances": Key("instance_count", Kind.NUMBER, is_matched=False),
}
IMAGE_KEYS = {
    "SOPInstanceUID": Key("sop_instance_uid", Kind.UID),
    "SOPClassUID": Key("sop_class_uid", Kind.UID),
    "AvailableTransferSyntaxUID": Key("transfer_syntax_uid", Kind.UID),
    "InstanceNumber": Key("instance_number", Kind.NUMBER),
    "Rows": Key("rows", Kind.NUMBER),
    "Columns": Key("columns", Kind.NUMBER),
    "NumberOfFrames": Key("number_of_frames", Kind.NUMBER),
    "BitsStored": Key("bits_stored", Kind.NUMBER),
    "PhotometricInterpretation": Key("photometric_interpretation", Kind.TEXT),
}


def _seen_from(prefix: str, keys: Mapping[str, Key]) -> dict[str, Key]:
    """The keys of a higher level that are matched, as a lower level's model reaches them."""
    return {
        keyword: Key(f"{prefix}__{key.path}", key.kind)
        for keyword, key in keys.items()
        if key.is_matched
    }


KEYS: dict[Level, dict[str, Key]] = {
    Level.STUDY: STUDY_KEYS,
    Level.SERIES: _seen_from("study", STUDY_KEYS) | SERIES_KEYS,
    Level.IMAGE: _seen_from("series__study", STUDY_KEYS)
    | _seen_from("series", SERIES_KEYS)
    | IMAGE_KEYS,
}
"""Every key that is known at a level, from the model of that level."""

SEPARATOR = "\\"
DATE = re.compile(r"\d{8}")
TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
NUMBER = re.compile(r"[+-]?\d{1,10}")
UID = re.compile(r"[0-9.]{1,64}")


def matches(level: Level, wanted: Mapping[str, str]) -> Q:
    """Return the filter for query keys by keyword, several values joined by backslashes.

    An empty value or a lone `*` matches everything; a key that isn't known at the level is
    left out, as an unsupported optional key. Raises QueryInvalid.
    """
    found = Q()
    for keyword, value in wanted.items():
        key = KEYS[level].get(keyword)
        if key is not None and key.is_matched and value.strip() not in ("", "*"):
            found &= _match(key, keyword, value.strip())
    return found


def value_of(row: Any, key: Key) -> Any:
    """Follow a key's path from a row: text, number, date, time, list of text, or None."""
    for name in key.path.split("__"):
        row = getattr(row, name)
    return row


def _match(key: Key, keyword: str, value: str) -> Q:
    if key.kind is Kind.DATE:
        return _match_range(key.path, *_bounds(keyword, value, _read_date))
    if key.kind is Kind.TIME:
        return _match_range(key.path, *_bounds(keyword, value, _read_time))
    values = value.split(SEPARATOR)
    if key.kind is Kind.UID:
        return Q(**{f"{key.path}__in": _checked(keyword, values, UID)})
    if key.kind is Kind.NUMBER:
        numbers = [int(number) for number in _checked(keyword, values, NUMBER)]
        return Q(**{f"{key.path}__in": numbers})
    if key.kind is Kind.CODES:
        if any(sign in value for sign in "*?"):
            raise QueryInvalid(detail=f"{keyword} takes no wildcards")
        return Q(**{f"{key.path}__overlap": values})
    found = Q()
    for one in values:
        found |= _match_name(key.path, one) if key.kind is Kind.NAME else _match_text(key.path, one)
    return found


def _checked(keyword: str, values: Iterable[str], pattern: re.Pattern[str]) -> list[str]:
    stripped = [value.strip() for value in values]
    if not all(pattern.fullmatch(value) for value in stripped):
        raise QueryInvalid(detail=f"{keyword} holds an impossible value")
    return stripped


def _match_text(path: str, value: str) -> Q:
    """Match text as it is written, `*` standing for any characters and `?` for one."""
    if not any(sign in value for sign in "*?"):
        return Q(**{path: value})
    return Q(**{f"{path}__regex": _as_regex(value)})


def _match_name(path: str, value: str) -> Q:
    """Match a person name whatever its case, by its first component group that says anything.

    Names are held without the carets at their end.
    """
    group = next((part for part in value.split("=") if part.strip(" ^")), "").rstrip(" ^")
    if not any(sign in group for sign in "*?"):
        return Q(**{f"{path}__iexact": group})
    return Q(**{f"{path}__iregex": _as_regex(group)})


def _as_regex(value: str) -> str:
    signs = {"*": ".*", "?": "."}
    return f"^{''.join(signs.get(sign) or re.escape(sign) for sign in value)}$"


def _match_range(path: str, earliest: Any, latest: Any) -> Q:
    found = Q()
    if earliest is not None:
        found &= Q(**{f"{path}__gte": earliest})
    if latest is not None:
        found &= Q(**{f"{path}__lte": latest})
    return found


def _bounds(keyword: str, value: str, read: Any) -> tuple[Any, Any]:
    """Return both ends of a range, an open one None; a single value is a range of itself."""
    first, dash, last = (part.strip() for part in value.partition("-"))
    try:
        if not dash:
            return read(first, is_end=False), read(first, is_end=True)
        if not first and not last:
            raise ValueError(value)
        return (
            read(first, is_end=False) if first else None,
            read(last, is_end=True) if last else None,
        )
    except ValueError as error:
        raise QueryInvalid(detail=f"{keyword} is neither a value nor a range") from error


def _read_date(text: str, *, is_end: bool) -> dt.date:
    """Read YYYYMMDD; a day is its own beginning and end."""
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _read_time(text: str, *, is_end: bool) -> dt.time:
    """Read HH, HHMM or HHMMSS.F; the parts left out are 0, or at an end as late as can be."""
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second, fraction = match.groups()
    fill, fraction_fill = ("59", "9") if is_end else ("0", "0")
    return dt.time(
        int(hour),
        int(minute or fill),
        min(int(second or fill), 59),
        int((fraction or "").ljust(6, fraction_fill)),
    )
