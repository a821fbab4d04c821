"""What a network said of each frame, and where it saw it."""

from django.db import models

from classifier.models.classifications import Classification
from records.models import Instance


class InstanceScore(models.Model):
    """What the network said of one frame, counted from 1; the study's answer combines them."""

    classification = models.ForeignKey(
        Classification, on_delete=models.CASCADE, related_name="instance_scores"
    )
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="scores")
    frame = models.PositiveIntegerField(default=1)
    probabilities = models.JSONField()
    is_deciding = models.BooleanField(default=False)

    class Meta:
        """One score per frame."""

        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("classification", "instance", "frame"), name="instance_score_unique"
            ),
        )

    def __str__(self) -> str:
        """Return which frame of which instance."""
        return f"Score of {self.instance_id} frame {self.frame}"


class Explanation(models.Model):
    """Class activation maps of one frame: per label, a small grid of values in 0..1.

    Kept at the network's own resolution (a few cells a side) and drawn when asked for.
    """

    classification = models.ForeignKey(
        Classification, on_delete=models.CASCADE, related_name="explanations"
    )
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="explanations")
    frame = models.PositiveIntegerField(default=1)
    activation_maps = models.JSONField()

    class Meta:
        """One per frame."""

        constraints = (
            models.UniqueConstraint(
                fields=("classification", "instance", "frame"), name="explanation_unique"
            ),
        )

    def __str__(self) -> str:
        """Return which frame of which instance."""
        return f"Explanation of {self.instance_id} frame {self.frame}"
