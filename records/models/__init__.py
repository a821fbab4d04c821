"""The rows of the records app."""

from records.models.conflicts import ConflictDecision, IdentityConflict, QuarantinedFile
from records.models.department_rules import DepartmentRule, RoutingFacts
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
from records.models.submissions import Submission, SubmissionFile
from records.models.uploads import Upload

__all__ = [
    "ConflictDecision",
    "DepartmentRule",
    "DicomNode",
    "Export",
    "ExportHold",
    "ExportHoldSight",
    "IdentityConflict",
    "Instance",
    "InstanceDescription",
    "LegalHold",
    "Patient",
    "QuarantinedFile",
    "RoutingFacts",
    "Series",
    "StoreIdentity",
    "Study",
    "StudyTombstone",
    "Submission",
    "SubmissionFile",
    "UnreferencedFile",
    "Upload",
]
