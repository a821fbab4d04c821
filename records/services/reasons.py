"""Reasons that people give for what takes a study away, or keeps it."""

from records.dicom.reading.values import clean_text
from records.errors import ReasonMissing, ReasonTooLong
from records.models.imaging import REASON_LENGTH


def clean_reason(given: str) -> str:
    """Return a reason on one line. Raises ReasonMissing and ReasonTooLong."""
    reason = clean_text(given)
    if not reason:
        raise ReasonMissing
    if len(reason) > REASON_LENGTH:
        raise ReasonTooLong(length=len(reason), maximum=REASON_LENGTH)
    return reason
