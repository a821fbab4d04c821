"""A person's decision on a network's answer."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import User
from classifier.choices import Decision, OverrideReason
from classifier.models.classifications import Classification

REASONS_TO_CHOOSE = tuple(
    choice for choice in OverrideReason.choices if choice[0] != OverrideReason.NO_MODEL_LABEL
)
"""Those that a person chooses; the other one is a fact, and written where nothing was overruled."""


COMMENT_MAXIMUM = 2000
OTHER_LABEL = "other"
"""The label of a finding that the model has no name for."""


class Review(models.Model):
    """One immutable decision; a trigger refuses change. The answer itself is never altered.

    `responsible` is who stood behind the reviewer's session, where that was somebody else: an
    administrator whose set-password link opened it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    classification = models.OneToOneField(
        Classification, on_delete=models.PROTECT, related_name="review"
    )
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    responsible = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    decision = models.CharField(max_length=16, choices=Decision.choices)
    label = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=20, choices=OverrideReason.choices, blank=True)
    comment = models.TextField(max_length=COMMENT_MAXIMUM, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """A confirmation names its label, an override also its reason."""

        ordering = ("-created_at",)
        indexes = (models.Index(fields=("-created_at", "-classification"), name="review_newest"),)
        constraints = (
            models.CheckConstraint(
                condition=~models.Q(decision=Decision.CONFIRM) | ~models.Q(label=""),
                name="review_confirm_says_what",
            ),
            models.CheckConstraint(
                condition=~models.Q(decision=Decision.OVERRIDE)
                | (~models.Q(label="") & ~models.Q(reason="")),
                name="review_override_says_what_and_why",
            ),
        )

    def __str__(self) -> str:
        """Return the decision."""
        return f"{self.decision} by {self.reviewer_id}"

    @property
    def label_display(self) -> str:
        """The words for the finding that the person named."""
        if self.label == OTHER_LABEL:
            return "Another finding"
        version = self.classification.model_version
        return version.display_of(self.label) if version and self.label else self.label
