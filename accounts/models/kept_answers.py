"""Answers kept for a day, so that a request that is sent twice is done once."""

from django.db import models
from django.utils import timezone

from accounts.models.people import User
from accounts.querysets import KeptAnswerQuerySet


class KeptAnswer(models.Model):
    """A request that its sender gave an Idempotency-Key, and what was answered.

    ```
    claimed (`status` is null) ──done──▶ answered ──a day──▶ gone
                               ──refused──▶ gone: the key is free again
    ```

    The key is a keyed hash, because senders put numbers of orders and patients into theirs; so is
    the fingerprint of what was sent. The answer is sealed (`accounts.sealing`). A row of a server
    that died while it worked stays claimed until its day is over, because nobody knows what was
    done; but the same files that are sent again are recognised, and so are taken again.
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="kept_answers")
    key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = KeptAnswerQuerySet.as_manager()

    class Meta:
        """A caller uses a key once."""

        ordering = ("created_at", "id")
        constraints = (models.UniqueConstraint(fields=("user", "key"), name="kept_answer_of_key"),)
        indexes = (models.Index(fields=("created_at",), name="kept_answer_age"),)

    def __str__(self) -> str:
        """Return how it ended."""
        return f"Kept answer {self.pk}: {self.status or 'under way'}"
