"""The rows of the records app."""

from records.models.conflicts import (
    ConflictDecision,
    ConflictKind,
    ConflictState,
    IdentityConflict,
    QuarantinedFile,
    QuarantineReason,
    QuarantineState,
    Resolution,
)
from records.models.exports import Export, ExportHold, ExportHoldSight, ExportState, HoldCause
from records.models.imaging import Damage, Instance, Priority, Series, Study, StudyState
from records.models.keeping import LegalHold, StudyTombstone, UnreferencedFile
from records.models.nodes import DicomNode
from records.models.patients import Patient, Sex
from records.models.submissions import (
    NOT_HELD,
    Origin,
    Submission,
    SubmissionFile,
    SubmissionState,
    Verdict,
)
from records.models.uploads import Upload, UploadState

__all__ = [
    "NOT_HELD",
    "ConflictDecision",
    "ConflictKind",
    "ConflictState",
    "Damage",
    "DicomNode",
    "Export",
    "ExportHold",
    "ExportHoldSight",
    "ExportState",
    "HoldCause",
    "IdentityConflict",
    "Instance",
    "LegalHold",
    "Origin",
    "Patient",
    "Priority",
    "QuarantineReason",
    "QuarantineState",
    "QuarantinedFile",
    "Resolution",
    "Series",
    "Sex",
    "Study",
    "StudyState",
    "StudyTombstone",
    "Submission",
    "SubmissionFile",
    "SubmissionState",
    "UnreferencedFile",
    "Upload",
    "UploadState",
    "Verdict",
]
