"""How patients are found by what people know of them: name, patient ID, birth date."""

import datetime as dt
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, Q, QuerySet

from records.dicom.names import fold_words

Patients = TypeVar("Patients", bound=QuerySet[Any])

DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%d %b %Y", "%d %B %Y")
"""As ISO 8601, DICOM, the pages, and most of Europe write a day."""


def patient_named(text: str, *, prefix: str = "") -> Q:
    """Patients whose name has all words of `text`, whatever their order, accents, case and script.

    `prefix` leads to the patient, as in "study__patient__".
    """
    words = fold_words(text)
    found = Q() if words else Q(pk__in=[])
    for word in words:
        found &= Q(**{f"{prefix}search_name__contains": word})
    return found


def patient_matching(text: str, *, prefix: str = "") -> Q:
    """Patients of that name, whose ID starts so, or who were born on that day."""
    found = patient_named(text, prefix=prefix) | Q(**{f"{prefix}mrn__istartswith": text})
    day = read_day(text)
    return found | Q(**{f"{prefix}birth_date": day}) if day else found


def patients_bearing(numbers: dict[str, str], *, among: Patients) -> Patients:
    """Patients `among` these of this `patient_id` (and `issuer`), or with an alias that has it."""
    wanted = {"mrn": numbers["patient_id"]}
    if "issuer" in numbers:
        wanted["issuer"] = numbers["issuer"]
    patients: QuerySet[Any] = QuerySet(among.model)
    aliases = patients.filter(merged_into=OuterRef("pk"), **wanted)
    return among.filter(Q(**wanted) | Exists(aliases))


def read_day(text: str) -> dt.date | None:
    """The day that a text is, if it is one."""
    for style in DATE_FORMATS:
        try:
            return dt.datetime.strptime(text, style).date()  # noqa: DTZ007  (a day has no zone)
        except ValueError:
            continue
    return None
