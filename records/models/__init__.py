"""The rows of the records app."""

from records.models.exports import Export, ExportHold, ExportState, HoldCause
from records.models.imaging import Instance, Priority, Series, Study, StudyState
from records.models.patients import Patient, Sex
from records.models.submissions import (
    Origin,
    Submission,
    SubmissionFile,
    SubmissionState,
    Verdict,
)

__all__ = [
    "Export",
    "ExportHold",
    "ExportState",
    "HoldCause",
    "Instance",
    "Origin",
    "Patient",
    "Priority",
    "Series",
    "Sex",
    "Study",
    "StudyState",
    "Submission",
    "SubmissionFile",
    "SubmissionState",
    "Verdict",
]
