"""Verdicts as DIMSE status codes (PS3.4 Annex B.2.3, PS3.7 Annex C)."""

from pydicom import Dataset

from records.choices import NOT_HELD
from records.failure_reasons import FAILURE_REASONS, PROCESSING_FAILURE
from records.models import SubmissionFile

SUCCESS = 0x0000
UNABLE_TO_SEND = 0xA702
PENDING = 0xFF00
CANCELLED = 0xFE00
COERCED = 0xB000
STORED_AS_ANOTHER = 0xB007
IDENTITY_CONTRADICTED = 0xC001
COMMENT_LENGTH = 64

REFUSED = FAILURE_REASONS | dict.fromkeys(
    ("patient_conflict", "series_study_mismatch", "study_patient_mismatch"), IDENTITY_CONTRADICTED
)
"""By the code of a refusal; any other one is a processing failure."""


def as_status(code: int, comment: str = "") -> Dataset:
    """Return a status with a comment for the peer's log; never a word about a patient."""
    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment[:COMMENT_LENGTH]
    return status


def status_of(verdict: SubmissionFile) -> Dataset:
    """Return what a sender is told about an object: its verdict's code is the comment."""
    if verdict.verdict in NOT_HELD:
        return as_status(REFUSED.get(verdict.code, PROCESSING_FAILURE), verdict.code)
    if verdict.code == "patient_unknown":
        return as_status(COERCED, "patient_unknown: filed under a temporary Patient ID")
    return as_status(SUCCESS)
