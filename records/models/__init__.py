"""The rows of the records app."""

from records.choices import (
    NOT_HELD,
    ConflictKind,
    ConflictState,
    Damage,
    ExportState,
    HoldCause,
    Origin,
    Priority,
    QuarantineReason,
    QuarantineState,
    Resolution,
    Sex,
    StudyState,
    SubmissionState,
    UploadState,
    Verdict,
)
from records.models.conflicts import ConflictDecision, IdentityConflict, QuarantinedFile
from records.models.descriptions import InstanceDescription
from records.models.exports import Export, ExportHold, ExportHoldSight
from records.models.imaging import Instance, Series, Study
from records.models.keeping import (
    LegalHold,
    StoreIdentity,
    StudyTombstone,
    UnreferencedFile,
)
from records.models.nodes import DicomNode
from records.models.patients import Patient
from records.models.routing import DepartmentRule, RoutingFacts
from records.models.submissions import Submission, SubmissionFile
from records.models.uploads import Upload

__all__ = [
    "NOT_HELD",
    "ConflictDecision",
    "ConflictKind",
    "ConflictState",
    "Damage",
    "DepartmentRule",
    "DicomNode",
    "Export",
    "ExportHold",
    "ExportHoldSight",
    "ExportState",
    "HoldCause",
    "IdentityConflict",
    "Instance",
    "InstanceDescription",
    "LegalHold",
    "Origin",
    "Patient",
    "Priority",
    "QuarantineReason",
    "QuarantineState",
    "QuarantinedFile",
    "Resolution",
    "RoutingFacts",
    "Series",
    "Sex",
    "StoreIdentity",
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
