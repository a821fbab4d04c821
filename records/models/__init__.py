"""The rows of the records app."""

from records.models.imaging import Instance, Priority, Series, Study, StudyState
from records.models.patients import Patient, Sex
from records.models.submissions import (
    Origin,
    Submission,
    SubmissionFile,
    SubmissionState,
    Verdict,
)
from records.models.uploads import Upload, UploadState

__all__ = [
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
    "Upload",
    "UploadState",
    "Verdict",
]
