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
from records.models.descriptions import InstanceDescription
from records.models.exports import Export, ExportHold, ExportHoldSight, ExportState, HoldCause
from records.models.imaging import Damage, Instance, Priority, Series, Study, StudyState
from records.models.keeping import (
    LegalHold,
    StoreIdentity,
    StudyTombstone,
    UnreferencedFile,
)
from records.models.nodes import DicomNode
from records.models.patients import Patient, Sex
from records.models.routing import DepartmentRule, RoutingFacts
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
