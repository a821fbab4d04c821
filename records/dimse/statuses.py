"""Verdicts as DIMSE status codes (PS3.4 Annex B.2.3, PS3.7 Annex C)."""

from pydicom import Dataset

from records.models import SubmissionFile, Verdict

SUCCESS = 0x0000
PENDING = 0xFF00
CANCELLED = 0xFE00
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH_SOP_CLASS = 0xA900
COERCED = 0xB000
STORED_AS_ANOTHER = 0xB007
CANNOT_UNDERSTAND = 0xC000
IDENTITY_CONTRADICTED = 0xC001
COMMENT_LENGTH = 64

REFUSED = {
    "disk_full": OUT_OF_RESOURCES,
    "too_many_files": OUT_OF_RESOURCES,
    "file_too_large": OUT_OF_RESOURCES,
    "image_too_large": OUT_OF_RESOURCES,
    "uid_conflict": DUPLICATE_SOP_INSTANCE,
    "dicomdir": DOES_NOT_MATCH_SOP_CLASS,
    "missing_uid": DOES_NOT_MATCH_SOP_CLASS,
    "held_by_other_department": NOT_AUTHORISED,
    "patient_conflict": IDENTITY_CONTRADICTED,
    "series_study_mismatch": IDENTITY_CONTRADICTED,
    "study_patient_mismatch": IDENTITY_CONTRADICTED,
    "unexpected": PROCESSING_FAILURE,
}
"""By the code of a refusal; every other one is CANNOT_UNDERSTAND."""


def as_status(code: int, comment: str = "") -> Dataset:
    """Return a status with a comment for the peer's log; never a word about a patient."""
    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment[:COMMENT_LENGTH]
    return status


def status_of(verdict: SubmissionFile) -> Dataset:
    """Return what a sender is told about an object: its verdict's code is the comment."""
    if verdict.verdict == Verdict.REJECTED:
        return as_status(REFUSED.get(verdict.code, CANNOT_UNDERSTAND), verdict.code)
    if verdict.code == "patient_unknown":
        return as_status(COERCED, "patient_unknown: filed under a temporary Patient ID")
    return as_status(SUCCESS)
