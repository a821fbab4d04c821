"""How patients are found by name."""

from django.db.models import Q

from records.names import fold_words


def patient_named(text: str, *, prefix: str = "") -> Q:
    """Patients whose name has all words of `text`, whatever their order, accents, case and script.

    `prefix` leads to the patient, as in "study__patient__".
    """
    words = fold_words(text)
    found = Q() if words else Q(pk__in=[])
    for word in words:
        found &= Q(**{f"{prefix}search_name__contains": word})
    return found
