"""Every read of the records app, by subject: what one may see, and how it is searched.

The models stand above: rows of another table are asked for by the relation that leads there
(`self.model.studies`), and models are imported for types alone.
"""

from records.querysets.department_rules import DepartmentRuleQuerySet
from records.querysets.exports import ExportQuerySet
from records.querysets.identity import IdentityConflictQuerySet, QuarantinedFileQuerySet
from records.querysets.imaging import InstanceManager, InstanceQuerySet, SeriesQuerySet
from records.querysets.keeping import LegalHoldQuerySet, UnreferencedFileQuerySet
from records.querysets.names import patient_matching
from records.querysets.nodes import DicomNodeQuerySet
from records.querysets.patients import PatientQuerySet
from records.querysets.studies import StudyQuerySet
from records.querysets.submissions import SubmissionFileQuerySet, SubmissionQuerySet, UploadQuerySet

__all__ = [
    "DepartmentRuleQuerySet",
    "DicomNodeQuerySet",
    "ExportQuerySet",
    "IdentityConflictQuerySet",
    "InstanceManager",
    "InstanceQuerySet",
    "LegalHoldQuerySet",
    "PatientQuerySet",
    "QuarantinedFileQuerySet",
    "SeriesQuerySet",
    "StudyQuerySet",
    "SubmissionFileQuerySet",
    "SubmissionQuerySet",
    "UnreferencedFileQuerySet",
    "UploadQuerySet",
    "patient_matching",
]
