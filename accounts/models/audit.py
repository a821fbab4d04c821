"""The append-only audit trail."""

import datetime as dt
import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils import timezone

from accounts.querysets import AuditEventQuerySet
from accounts.wording import describe_event, name_actor


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


FACTS = {
    "event_id": "Event",
    "actor_id": "Person",
    "responsible_name": "Behind the person",
    "token_id": "API token",
    "session_id": "Session",
    "target_type": "Kind of target",
    "target_id": "Target",
    "study_id": "Study",
    "patient_id": "Patient record",
    "department_id": "Department",
    "view": "Page or function",
    "request_id": "Request",
    "source_address": "Address",
    "user_agent": "Client",
    "database_user": "Database role",
}
"""The columns that the audit page unfolds below an event, and what it calls them."""

TARGET_WORDS = {
    "apitoken": "API token",
    "dicomnode": "DICOM node",
    "identityconflict": "Identity conflict",
    "legalhold": "Legal hold",
    "modelversion": "Model",
    "quarantinedfile": "Quarantined file",
    "submittedfile": "File",
    "usersession": "Session",
    "user": "Person",
}
"""Kinds of targets whose names are not words."""


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_as_text(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_as_text(inner) for inner in value)
    return "" if value is None else str(value)


class AuditEvent(models.Model):
    """One thing that somebody did or saw. The database refuses any change or deletion.

    Plain ids and no foreign keys: an event outlives what it speaks of. The actor's
    name is kept as text; a patient's name never is. `session_id` tells sessions apart and opens
    none. Where somebody else stands behind what the actor did (an administrator whose link was
    used, for instance), `responsible_id` and `responsible_name` say who. `searched` holds keyed
    hashes of what was searched for, so that one can ask who searched for this, and not for what.
    `view` is the name of the address through which it happened.
    The database sets `id`, `occurred_at` and `database_user` when an event is appended.
    `sealed` holds what a change of a patient's record replaced and by what, see accounts.sealing.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    occurred_at = models.DateTimeField(default=timezone.now, editable=False)
    action = models.CharField(max_length=40)
    outcome = models.PositiveSmallIntegerField(choices=Outcome.choices, default=Outcome.SUCCESS)
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=150)
    token_id = models.UUIDField(null=True)
    session_id = models.CharField(max_length=32, blank=True, default="", db_default="")
    responsible_id = models.UUIDField(null=True)
    responsible_name = models.CharField(max_length=150, blank=True, default="", db_default="")
    source_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True, default="", db_default="")
    request_id = models.CharField(max_length=64, blank=True)
    view = models.CharField(max_length=80, blank=True, db_default="")
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=200, blank=True)
    study_id = models.UUIDField(null=True)
    patient_id = models.UUIDField(null=True)
    department_id = models.UUIDField(null=True)
    searched = ArrayField(models.CharField(max_length=32), default=list, db_default=[])
    details = models.JSONField(default=dict)
    database_user = models.CharField(
        max_length=63, blank=True, default="", db_default="", editable=False
    )
    sealed = models.TextField(blank=True, default="", db_default="")

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        """Newest first; indexed by what the audit page filters on."""

        ordering = ("-id",)
        indexes = (
            models.Index(fields=("occurred_at",), name="audit_occurred_at"),
            models.Index(fields=("action", "-id"), name="audit_action"),
            models.Index(fields=("actor_id", "-id"), name="audit_actor"),
            models.Index(fields=("study_id", "id"), name="audit_study"),
            models.Index(fields=("patient_id", "id"), name="audit_patient"),
            models.Index(
                fields=("target_id", "action", "-occurred_at"), name="audit_target_action"
            ),
            GinIndex(
                fields=("searched",),
                condition=~models.Q(searched=[]),
                name="audit_searched",
            ),
        )

    def __str__(self) -> str:
        """Return when, who and what."""
        return f"{self.occurred_at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action}"

    @property
    def action_words(self) -> str:
        """What kind of event it is, in words; an action of another release stands as it is."""
        return str(Action(self.action).label) if self.action in Action.values else self.action

    @property
    def target_words(self) -> str:
        """What kind of thing it is about, in words."""
        words = TARGET_WORDS.get(self.target_type, _in_words(self.target_type))
        return words or ("The trail" if self.target_id == "audit-trail" else self.target_id or "–")

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Every column that says something and every detail, in words, for the trail's readers."""
        columns = [(words, getattr(self, name)) for name, words in FACTS.items()]
        if self.sealed:
            columns.append(("Values before and after", "sealed; an operator can open them"))
        if self.searched:
            columns.append(("Searched for", f"{len(self.searched)} terms, kept as hashes"))
        details = [(_in_words(name), _as_text(value)) for name, value in self.details.items()]
        stated = [*columns, *details]
        return [(words, str(value)) for words, value in stated if value not in (None, "", {})]

    @property
    def actor_in_words(self) -> str:
        """Who acted, and whoever stood behind their session."""
        return name_actor(self)

    @property
    def sentence(self) -> str:
        """What happened, in words: "Ada Admin deactivated kim"."""
        return describe_event(self)
