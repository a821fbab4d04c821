"""What the columns of the accounts app may say: states, reasons, kinds, actions."""

import datetime as dt

from django.db import models


class Action(models.TextChoices):
    """What happened; the values are stable and part of the API."""

    SIGNED_IN = "user.signed_in", "Signed in"
    SIGN_IN_FAILED = "user.sign_in_failed", "Sign-in failed"
    SIGNED_OUT = "user.signed_out", "Signed out"
    SESSION_ENDED = "session.ended", "Sessions ended by a person"
    SESSION_EXPIRED = "session.expired", "Session expired"
    SESSION_UNKNOWN = "session.unknown", "Ended or unknown session shown"
    PASSWORD_CHANGED = "user.password_changed", "Password changed"
    PASSWORD_RESET_REQUESTED = "user.password_reset_requested", "Password reset requested"
    PASSWORD_LINK_ISSUED = "user.password_link_issued", "Set-password link issued"
    USER_INVITED = "user.invited", "Person invited"
    USER_UPDATED = "user.updated", "Person edited"
    USER_DEACTIVATED = "user.deactivated", "Person deactivated"
    USER_REACTIVATED = "user.reactivated", "Person reactivated"
    NOTICES_SEEN = "user.notices_seen", "Account notices seen"
    ROLE_PROPOSED = "role.proposed", "Role proposed"
    ROLE_GRANTED = "role.granted", "Proposed role granted"
    ROLE_DECLINED = "role.declined", "Proposed role declined"
    DEPARTMENT_CREATED = "department.created", "Department created"
    DEPARTMENT_RENAMED = "department.renamed", "Department renamed"
    DEPARTMENT_UPDATED = "department.updated", "Department edited"
    RULE_ADDED = "department_rule.added", "Department rule added"
    RULE_CHANGED = "department_rule.changed", "Department rule edited"
    RULE_REMOVED = "department_rule.removed", "Department rule removed"
    TOKEN_ISSUED = "token.issued", "API token issued"
    TOKEN_REVOKED = "token.revoked", "API token revoked"
    TOKEN_REFUSED = "token.refused", "API token refused"
    AUDIT_VIEWED = "audit.viewed", "Audit trail viewed"
    AUDIT_EXPORTED = "audit.exported", "Audit trail exported"
    AUDIT_UNSEALED = "audit.unsealed", "Sealed values of an event opened"
    ACCESS_REFUSED = "access.refused", "Access refused"
    OBJECT_NOT_FOUND = "access.not_found", "Object not found or out of sight"
    FORM_REFUSED = "form.refused", "Form of another site or session refused"
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
    BACKUP_MADE = "backup.made", "Backup made"
    BACKUP_RESTORED = "backup.restored", "Backup restored"
    TRANSFER_BEGUN = "transfer.begun", "Files began to leave"
    SUBMISSION_VIEWED = "submission.viewed", "Submission viewed"
    SUBMISSIONS_LISTED = "submissions.listed", "Submissions listed"
    EXPORT_VIEWED = "export.viewed", "Export viewed"
    EXPORTS_LISTED = "exports.listed", "Exports listed"
    STORAGE_VIEWED = "storage.viewed", "State of storage viewed"
    HOLDS_VIEWED = "holds.viewed", "Legal holds viewed"
    CLASSIFICATIONS_LISTED = "classifications.listed", "Classifications listed"
    STUDY_VIEWED = "study.viewed", "Study viewed"
    PATIENT_VIEWED = "patient.viewed", "Patient viewed"
    IMAGE_VIEWED = "image.viewed", "Image viewed"
    IMAGE_DOWNLOADED = "image.downloaded", "Image downloaded"
    STUDIES_SEARCHED = "studies.searched", "Studies searched"
    PATIENTS_SEARCHED = "patients.searched", "Patients searched"
    CLASSIFICATION_QUEUED = "classification.queued", "Classification queued"
    CLASSIFICATION_STARTED = "classification.started", "Classification started"
    CLASSIFICATION_ROUTED = "classification.routed", "Classification routed by the image"
    CLASSIFICATION_COMPLETED = "classification.completed", "Classification completed"
    CLASSIFICATION_ABSTAINED = "classification.abstained", "Classification abstained"
    CLASSIFICATION_FAILED = "classification.failed", "Classification failed"
    CLASSIFICATION_REQUEUED = "classification.requeued", "Classification put back in the queue"
    CLASSIFICATION_CANCELLED = "classification.cancelled", "Classification cancelled"
    CLASSIFICATION_SUPERSEDED = "classification.superseded", "Classification superseded"
    FAILED_RERUN = "classification.failed_rerun", "Failed classifications run again"
    CLASSIFICATION_VIEWED = "classification.viewed", "Classification viewed"
    REVIEW_CREATED = "review.created", "Review recorded"
    REVIEW_DRAFTED = "review.drafted", "Review begun"
    MODEL_REGISTERED = "model.registered", "Model registered"
    MODEL_SIGNATURE_CHANGED = "model.signature_changed", "Signature of a model changed"
    MODEL_DEPLOYED = "model.deployed", "Model deployed"
    MODEL_SOURCE_VALIDATED = "model.source_validated", "Model validated for a source of images"
    MODEL_SOURCE_WITHDRAWN = (
        "model.source_withdrawn",
        "Validation for a source withdrawn",
    )
    MODEL_CARRIED_OVER = "model.carried_over", "Model took over from one that answers alike"


READS = frozenset(
    {
        Action.AUDIT_VIEWED,
        Action.AUDIT_EXPORTED,
        Action.AUDIT_UNSEALED,
        Action.STUDY_RETRIEVED,
        Action.STUDY_EXPORTED,
        Action.TRANSFER_BEGUN,
        Action.QUARANTINE_VIEWED,
        Action.CONFLICTS_VIEWED,
        Action.SUBMISSION_VIEWED,
        Action.SUBMISSIONS_LISTED,
        Action.EXPORT_VIEWED,
        Action.EXPORTS_LISTED,
        Action.STORAGE_VIEWED,
        Action.HOLDS_VIEWED,
        Action.CLASSIFICATIONS_LISTED,
        Action.STUDY_VIEWED,
        Action.PATIENT_VIEWED,
        Action.IMAGE_VIEWED,
        Action.IMAGE_DOWNLOADED,
        Action.STUDIES_SEARCHED,
        Action.PATIENTS_SEARCHED,
        Action.CLASSIFICATION_VIEWED,
    }
)
"""Somebody looked at, searched or took away what is known; nothing was changed."""


REFUSALS = frozenset(
    {
        Action.SIGN_IN_FAILED,
        Action.SESSION_UNKNOWN,
        Action.TOKEN_REFUSED,
        Action.ACCESS_REFUSED,
        Action.OBJECT_NOT_FOUND,
        Action.FORM_REFUSED,
        Action.ASSOCIATION_REFUSED,
        Action.FILE_REJECTED,
        Action.EXPORT_BLOCKED,
    }
)
"""Somebody was kept from something, or something from coming in or going out."""


class EventKind(models.TextChoices):
    """What an auditor narrows the trail to before choosing a single action."""

    READS = "reads", "Reads"
    CHANGES = "changes", "Changes"
    REFUSALS = "refusals", "Refusals"


class Period(models.TextChoices):
    """The last so many hours or days, up to this moment."""

    DAY = "24h", "Last 24 hours"
    WEEK = "7d", "Last 7 days"
    MONTH = "30d", "Last 30 days"


PERIODS = {
    Period.DAY: dt.timedelta(hours=24),
    Period.WEEK: dt.timedelta(days=7),
    Period.MONTH: dt.timedelta(days=30),
}


class Outcome(models.IntegerChoices):
    """EventOutcomeIndicator of DICOM PS3.15 A.5."""

    SUCCESS = 0, "Success"
    MINOR_FAILURE = 4, "Minor failure"
    SERIOUS_FAILURE = 8, "Serious failure"
    MAJOR_FAILURE = 12, "Major failure"


class ActorKind(models.TextChoices):
    """Who acted: a person at the screen, a person's token, a stranger, or the system itself."""

    USER = "user", "Person"
    TOKEN = "token", "API token"
    ANONYMOUS = "anonymous", "Not signed in"
    SYSTEM = "system", "System"


class NoticeKind(models.TextChoices):
    """What was done to an account by somebody else; the label is the sentence for its owner."""

    LINK_MADE = "link_made", "{by} made a link to set your password. Until it is used, yours holds."
    PASSWORD_SET = "password_set", "Your password was set through a link that {by} made."
    PASSWORD_CHANGED = (
        "password_changed",
        "Your password was changed in a session that was opened through a link that {by} made.",
    )
    EMAIL_CHANGED = (
        "email_changed",
        "{by} changed your e-mail address. Set-password links go to the new one.",
    )
    ROLES_CHANGED = "roles_changed", "{by} changed your roles."
    DEACTIVATED = "deactivated", "{by} deactivated your account."
    REACTIVATED = "reactivated", "{by} reactivated your account."


class MailKind(models.TextChoices):
    """What the mail is about."""

    RESET = "reset", "Set-password link asked for"
    PASSWORD_CHANGED = "password_changed", "Password changed"  # noqa: S105 - a kind of mail


class ProposalState(models.TextChoices):
    """What became of a proposal; one whose time has passed just isn't decided any more."""

    WAITING = "waiting", "Waiting"
    GRANTED = "granted", "Granted"
    DECLINED = "declined", "Declined"


class SessionEnd(models.TextChoices):
    """Why a session is over."""

    SIGNED_OUT = "signed_out", "Signed out"
    IDLE = "idle", "Nobody worked"
    TOO_OLD = "too_old", "Open too long"
    ENDED = "ended", "Ended by a person"
    PASSWORD = "password", "Password changed"  # noqa: S105 - a reason, not a secret
    DEACTIVATED = "deactivated", "Person deactivated"
