"""Set-password links that were made for people, and what people are told about their account."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.choices import NoticeKind
from accounts.models.people import User
from accounts.querysets import AccountNoticeQuerySet, PasswordLinkQuerySet


class PasswordLink(models.Model):
    """A link that somebody made for a person: whose word its redemption rests on.

    Only a hash of the link's secret is kept. `issued_by` is empty for the operator's links and
    for those that a person had mailed to an address of their own.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="password_links")
    issued_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    issued_at = models.DateTimeField(default=timezone.now)
    digest = models.CharField(max_length=64)
    redeemed_at = models.DateTimeField(null=True)
    redeemed_from = models.GenericIPAddressField(null=True)

    objects = PasswordLinkQuerySet.as_manager()

    class Meta:
        """Newest first. Two links of one second are alike, so hashes aren't unique."""

        ordering = ("-issued_at", "-id")
        indexes = (models.Index(fields=("user", "digest"), name="password_link_digest"),)

    def __str__(self) -> str:
        """Return the id; the secret is nowhere."""
        return f"Set-password link {self.id}"


class AccountNotice(models.Model):
    """What a person is told about their own account, until they say that they have seen it."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=20, choices=NoticeKind.choices)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    source_address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True)

    objects = AccountNoticeQuerySet.as_manager()

    class Meta:
        """Newest first."""

        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=("user",), condition=models.Q(seen_at__isnull=True), name="notice_unseen"
            ),
        )

    def __str__(self) -> str:
        """Return the sentence."""
        return self.sentence

    @property
    def sentence(self) -> str:
        """What happened, in words for the account's owner."""
        return str(NoticeKind(self.kind).label).format(by=self.by or "The operator")
