"""The rows of the classifier app."""

from classifier.models.classifications import (
    Abstention,
    Classification,
    ClassificationState,
    Confidence,
    Explanation,
    InstanceScore,
)
from classifier.models.reviews import Decision, OverrideReason, Review
from classifier.models.versions import Deployment, ModelVersion, Stage, Task

__all__ = [
    "Abstention",
    "Classification",
    "ClassificationState",
    "Confidence",
    "Decision",
    "Deployment",
    "Explanation",
    "InstanceScore",
    "ModelVersion",
    "OverrideReason",
    "Review",
    "Stage",
    "Task",
]
