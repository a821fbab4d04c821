"""How patients are found by what people know of them: name, patient ID, birth date."""

import datetime as dt

from django.db.models import Q

from records.dicom.names import fold_words

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


def read_day(text: str) -> dt.date | None:
    """The day that a text is, if it is one."""
    for style in DATE_FORMATS:
        try:
            return dt.datetime.strptime(text, style).date()  # noqa: DTZ007  (a day has no zone)
        except ValueError:
            continue
    return None
