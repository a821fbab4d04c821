"""What a person has begun to write about an answer and has not signed."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import User
from classifier.choices import Decision, OverrideReason
from classifier.models.classifications import Classification
from classifier.models.reviews import COMMENT_MAXIMUM
from classifier.querysets import ReviewDraftQuerySet


class ReviewDraft(models.Model):
    """One person's unsigned decision on one classification; nobody else ever sees it.

    It may be of any kind of completeness: what fits together is asked when it is signed. It goes
    when its person signs, and when the study is destroyed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    classification = models.ForeignKey(
        Classification, on_delete=models.PROTECT, related_name="review_drafts"
    )
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="review_drafts")
    decision = models.CharField(max_length=16, choices=Decision.choices, blank=True)
    label = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=20, choices=OverrideReason.choices, blank=True)
    comment = models.TextField(max_length=COMMENT_MAXIMUM, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = ReviewDraftQuerySet.as_manager()

    class Meta:
        """One per person and classification."""

        constraints = (
            models.UniqueConstraint(
                fields=("classification", "person"), name="review_draft_one_per_person"
            ),
        )

    def __str__(self) -> str:
        """Return whose it is, never what stands in it."""
        return f"Draft by {self.person_id}"

    @property
    def is_blank(self) -> bool:
        """Tell whether everything was taken out again."""
        return not (self.decision or self.label or self.reason or self.comment.strip())

    @property
    def answers(self) -> dict[str, str]:
        """What was entered, by the names of the review form's fields."""
        names = ("decision", "label", "reason", "comment")
        return {name: getattr(self, name) for name in names}
