"""The append-only audit trail."""

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils import timezone

from accounts.actions import LONGEST_ACTION, in_words, registry
from accounts.choices import ActorKind, Outcome
from accounts.querysets import AuditEventQuerySet
from accounts.wording import describe_event, name_actor

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
    action = models.CharField(max_length=LONGEST_ACTION)
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
        return str(registry[self.action].label) if self.action in registry else self.action

    @property
    def target_words(self) -> str:
        """What kind of thing it is about, in words."""
        words = registry.name_target(self.target_type)
        return words or ("The trail" if self.target_id == "audit-trail" else self.target_id or "–")

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Every column that says something and every detail, in words, for the trail's readers."""
        columns = [(words, getattr(self, name)) for name, words in FACTS.items()]
        if self.sealed:
            columns.append(("Values before and after", "sealed; an operator can open them"))
        if self.searched:
            columns.append(("Searched for", f"{len(self.searched)} terms, kept as hashes"))
        details = [(in_words(name), _as_text(value)) for name, value in self.details.items()]
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
