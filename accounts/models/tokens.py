"""API tokens: shown once, kept only as a hash, always expiring."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models.people import Department, User
from accounts.querysets import ApiTokenQuerySet
from accounts.roles import VERB_WORDS, Verb


class ApiToken(models.Model):
    """A key for the API that acts as its owner, with at most the owner's permissions.

    The key itself has 256 random bits, so one SHA-256 is enough to keep it by. `responsible` is
    who stood behind the session in which it was made, where that wasn't its owner. One that was
    made with another (`parent`) ends with it at the latest, and may do no more. One that is bound
    to a `department` acts in that one alone: what it sends is filed there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_tokens")
    responsible = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(
        models.CharField(max_length=30, choices=[(verb.value, verb.value) for verb in Verb])
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        """Newest first."""

        ordering = ("-created_at",)

    def __str__(self) -> str:
        """Return the owner's name for it, and its first characters."""
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_usable(self) -> bool:
        """Tell whether the token still opens the door."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    @property
    def scopes_in_words(self) -> list[str]:
        """What the token may do, in the words of the pages."""
        return [VERB_WORDS.get(scope, scope) for scope in self.scopes]
