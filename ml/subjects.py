"""Whose image it is and what of: the facts that a model's limits are applied to."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ml.ages import Age, find_age

DATE = re.compile(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a patient and an examination; None or empty where nothing is.

    `sex` is M, F or O; `view`, `body_part` and `modality` are DICOM's code strings, in any case.
    `descriptions` are the words by which somebody named the examination and the series.
    """

    age: Age | None = None
    sex: str = ""
    view: str = ""
    body_part: str = ""
    modality: str = ""
    descriptions: tuple[str, ...] = ()


def read_subject(header: Mapping[str, str]) -> Subject:
    """The facts as a file itself states them, for those who know nothing else of it.

    `header` is a `Frame`'s; a picture without one says nothing.
    """
    return Subject(
        age=find_age(
            birth_date=_read_date(header.get("PatientBirthDate", "")),
            study_date=_read_date(header.get("StudyDate", "")),
            received=dt.datetime.now(tz=dt.UTC).date(),
            stated=header.get("PatientAge", ""),
        ),
        sex=header.get("PatientSex", ""),
        view=header.get("ViewPosition", ""),
        body_part=header.get("BodyPartExamined", ""),
        modality=header.get("Modality", ""),
        descriptions=(header.get("SeriesDescription", ""), header.get("StudyDescription", "")),
    )


def _read_date(text: str) -> dt.date | None:
    """A date as DICOM writes it, or with separators as old systems do."""
    match = DATE.fullmatch(text.strip())
    try:
        return dt.date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None
