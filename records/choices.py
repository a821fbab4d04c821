"""What the columns of the records app may say: states, reasons, kinds, verdicts."""

from django.db import models

from accounts.actions import AuditAction
from records.dicom.deidentification.burned_in import Cause


class StudyState(models.TextChoices):
    """Whether more images are still expected."""

    OPEN = "open", "Receiving"
    COMPLETE = "complete", "Complete"


class Priority(models.TextChoices):
    """How soon somebody needs to look."""

    ROUTINE = "routine", "Routine"
    URGENT = "urgent", "Urgent"


class Damage(models.TextChoices):
    """What was found when a stored file was last read."""

    NONE = "", "Whole"
    ALTERED = "altered", "Altered"
    MISSING = "missing", "Missing"


class Sex(models.TextChoices):
    """Patient's Sex (0010,0040)."""

    FEMALE = "F", "Female"
    MALE = "M", "Male"
    OTHER = "O", "Other"
    UNKNOWN = "", "Not stated"


class SubmissionState(models.TextChoices):
    """How far a batch has come."""

    RECEIVING = "receiving", "Receiving"
    STORED = "stored", "Stored"
    PARTLY_STORED = "partly_stored", "Partly stored"
    REJECTED = "rejected", "Rejected"


class Origin(models.TextChoices):
    """The door it came in by."""

    WEB = "web", "Upload page"
    API = "api", "API"
    STOW = "stow", "DICOMweb"
    DIMSE = "dimse", "DICOM association"
    SAMPLE = "samples", "Sample data"


class Verdict(models.TextChoices):
    """What became of one file."""

    STORED = "stored", "Stored"
    DUPLICATE = "duplicate", "Already held"
    REJECTED = "rejected", "Rejected"
    LEFT_OUT = "left_out", "Left out"


NOT_HELD = (Verdict.REJECTED, Verdict.LEFT_OUT)
"""Verdicts on files that aren't held: those that a batch lacks, and those it is whole without."""


class UploadState(models.TextChoices):
    """How far one file has come."""

    RECEIVING = "receiving", "Receiving"
    FILED = "filed", "Filed"
    DROPPED = "dropped", "Dropped"


class ConflictKind(models.TextChoices):
    """What contradicts what."""

    PATIENT = "patient", "Patient ID held for another person"
    STUDY = "study", "Study held for another patient"
    ELSEWHERE = "elsewhere", "Patient ID used by another department"


class ConflictState(models.TextChoices):
    """Whether somebody has decided."""

    OPEN = "open", "Open"
    RESOLVED = "resolved", "Resolved"


class Resolution(models.TextChoices):
    """What a person decided."""

    MERGE = "merge", "Same person"
    KEEP_APART = "keep_apart", "Another person"
    CORRECT = "correct", "Corrected"


class QuarantineReason(models.TextChoices):
    """Why a file is kept apart."""

    UID = "uid_conflict", "Other content under a held UID"
    IDENTITY = "identity", "Study held for another patient"


class QuarantineState(models.TextChoices):
    """What became of it."""

    HELD = "held", "In quarantine"
    FILED = "filed", "Filed into its study"
    DISCARDED = "discarded", "Discarded"


class ExportState(models.TextChoices):
    """How far a copy has come."""

    PREPARING = "preparing", "Being prepared"
    HELD = "held", "Held back: somebody must look"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "File removed"


UNFINISHED_EXPORTS = (ExportState.PREPARING, ExportState.HELD, ExportState.READY)
"""Those that hold a copy of their studies, or still mean to."""


class HoldCause(models.TextChoices):
    """Why an image is held back until a person has looked at it."""

    DECLARED = Cause.DECLARED, "The sender states that text is burned in"
    TEXT = Cause.TEXT, "Something like writing was found"
    KIND = Cause.KIND, "Images of this kind often carry writing"


class Action(AuditAction):
    """What happened to what came in, is held and goes out."""

    RULE_ADDED = "department_rule.added", "Department rule added"
    RULE_CHANGED = "department_rule.changed", "Department rule edited"
    RULE_REMOVED = "department_rule.removed", "Department rule removed"
    SUBMISSION_OPENED = "submission.opened", "Submission opened"
    FILE_STORED = "file.stored", "File stored"
    FILE_DUPLICATE = "file.duplicate", "File already held"
    FILE_REJECTED = "file.rejected", "File rejected"
    SUBMISSION_CLOSED = "submission.closed", "Submission closed"
    STUDY_COMPLETED = "study.completed", "Study complete"
    STUDY_REOPENED = "study.reopened", "Study re-opened"
    STUDY_DESCRIBED = "study.described", "Kind of image stated"
    STUDY_MOVED = "study.moved", "Study moved here"
    STUDY_MOVED_AWAY = "study.moved_away", "Study moved away"
    STUDY_RETRIEVED = "study.retrieved", "Study retrieved"
    STUDY_DELETED = "study.deleted", "Study deleted"
    STUDY_RESTORED = "study.restored", "Study restored"
    STUDY_PURGED = "study.purged", "Study destroyed"
    STUDY_HELD = "study.held", "Legal hold set"
    STUDY_RELEASED = "study.released", "Legal hold lifted"
    STUDY_EXPORTED = "study.exported", "De-identified copy exported"
    EXPORT_BLOCKED = "export.blocked", "Export held back"
    EXPORT_CLEARED = "export.cleared", "Export cleared by a person"
    EXPORT_EXPIRED = "export.expired", "Export's file removed"
    FILE_QUARANTINED = "file.quarantined", "File quarantined"
    QUARANTINE_VIEWED = "quarantine.viewed", "Quarantine viewed"
    QUARANTINE_DISCARDED = "quarantine.discarded", "Quarantined file discarded"
    CONFLICT_RAISED = "conflict.raised", "Identity conflict raised"
    CONFLICT_RESOLVED = "conflict.resolved", "Identity conflict resolved"
    CONFLICT_REVERSED = "conflict.reversed", "Resolution of a conflict reversed"
    CONFLICTS_VIEWED = "conflicts.viewed", "Identity conflicts viewed"
    PATIENT_CORRECTED = "patient.corrected", "Patient corrected"
    PATIENT_MERGED = "patient.merged", "Patients merged"
    PATIENT_COMPLETED = "patient.completed", "Patient's record completed"
    PATIENT_RESTORED = "patient.restored", "Patient's record restored"
    ASSOCIATION_REFUSED = "association.refused", "DICOM association refused"
    NODE_CREATED = "node.created", "DICOM node added"
    NODE_UPDATED = "node.updated", "DICOM node edited"
    NODE_REMOVED = "node.removed", "DICOM node removed"
    NODE_CONFIRMED = "node.confirmed", "DICOM node confirmed"
    NODE_DECLINED = "node.declined", "DICOM node declined"
    STORAGE_CHECKED = "storage.checked", "Storage checked"
    STORAGE_DAMAGED = "storage.damaged", "Damaged file found"
    STORAGE_HEALED = "storage.healed", "Lost file put back"
    STORAGE_SWEPT = "storage.swept", "Files without a record removed"
    SUBMISSION_VIEWED = "submission.viewed", "Submission viewed"
    SUBMISSIONS_LISTED = "submissions.listed", "Submissions listed"
    EXPORT_VIEWED = "export.viewed", "Export viewed"
    EXPORTS_LISTED = "exports.listed", "Exports listed"
    STORAGE_VIEWED = "storage.viewed", "State of storage viewed"
    HOLDS_VIEWED = "holds.viewed", "Legal holds viewed"
    STUDY_VIEWED = "study.viewed", "Study viewed"
    PATIENT_VIEWED = "patient.viewed", "Patient viewed"
    IMAGE_VIEWED = "image.viewed", "Image viewed"
    IMAGE_DOWNLOADED = "image.downloaded", "Image downloaded"
    STUDIES_SEARCHED = "studies.searched", "Studies searched"
    PATIENTS_SEARCHED = "patients.searched", "Patients searched"


READS = frozenset(
    {
        Action.STUDY_RETRIEVED,
        Action.STUDY_EXPORTED,
        Action.QUARANTINE_VIEWED,
        Action.CONFLICTS_VIEWED,
        Action.SUBMISSION_VIEWED,
        Action.SUBMISSIONS_LISTED,
        Action.EXPORT_VIEWED,
        Action.EXPORTS_LISTED,
        Action.STORAGE_VIEWED,
        Action.HOLDS_VIEWED,
        Action.STUDY_VIEWED,
        Action.PATIENT_VIEWED,
        Action.IMAGE_VIEWED,
        Action.IMAGE_DOWNLOADED,
        Action.STUDIES_SEARCHED,
        Action.PATIENTS_SEARCHED,
    }
)
"""Somebody looked at, searched or took away what is known; nothing was changed."""


REFUSALS = frozenset(
    {
        Action.ASSOCIATION_REFUSED,
        Action.FILE_REJECTED,
        Action.EXPORT_BLOCKED,
    }
)
"""Somebody was kept from something, or something from coming in or going out."""
