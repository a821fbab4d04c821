"""The rows of the records app."""

from records.models.imaging import Damage, Instance, Priority, Series, Study, StudyState
from records.models.keeping import LegalHold, StudyTombstone, UnreferencedFile
from records.models.patients import Patient, Sex
from records.models.submissions import (
    Origin,
    Submission,
    SubmissionFile,
    SubmissionState,
    Verdict,
)

__all__ = [
    "Damage",
    "Instance",
    "LegalHold",
    "Origin",
    "Patient",
    "Priority",
    "Series",
    "Sex",
    "Study",
    "StudyState",
    "StudyTombstone",
    "Submission",
    "SubmissionFile",
    "SubmissionState",
    "UnreferencedFile",
    "Verdict",
]
