"""Sessions by their rows: whose, since when, from where, and how they ended."""

import uuid

from django.db import models

from accounts.choices import SessionEnd
from accounts.models.people import User
from accounts.querysets import UserSessionQuerySet


class UserSession(models.Model):
    """One sign-in in one browser, open until it ends; an ended one never opens again.

    open ──▶ ended (signed_out | idle | too_old | ended | password | deactivated)

    `session_hash` is what the audit trail calls the session; it opens nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="browser_sessions")
    session_hash = models.CharField(max_length=32, unique=True)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    source_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=20, choices=SessionEnd.choices, blank=True)

    objects = UserSessionQuerySet.as_manager()

    class Meta:
        """Newest first."""

        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True, end_reason="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(end_reason="")),
                name="user_session_end_has_reason",
            ),
        )
        indexes = (
            models.Index(
                fields=("user", "-created_at"),
                condition=models.Q(ended_at__isnull=True),
                name="user_session_open",
            ),
        )

    def __str__(self) -> str:
        """Return whose it is and since when."""
        return f"{self.user} since {self.created_at:%Y-%m-%d %H:%M}"
