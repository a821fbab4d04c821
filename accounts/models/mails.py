"""Mail about accounts that waits to be sent."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.choices import MailKind
from accounts.models.people import User


class AccountMail(models.Model):
    """A mail that a worker is to send; gone when it was sent, or was nobody's, or is too old.

    For a set-password link the row holds what was typed: whether that is anybody's address
    only the worker finds out, so the page answers alike.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=MailKind.choices)
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    typed_email = models.CharField(max_length=254, blank=True)
    source_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """Oldest first."""

        ordering = ("created_at",)

    def __str__(self) -> str:
        """Return what it is about, and when it was asked for."""
        return f"{self.kind} {self.created_at:%Y-%m-%d %H:%M}"
