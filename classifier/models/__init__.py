"""The rows of the classifier app."""

from classifier.models.classifications import CLASSIFICATION_TASKS, UNROUTED, Classification
from classifier.models.drafts import ReviewDraft
from classifier.models.reviews import Review
from classifier.models.scores import Explanation, InstanceScore
from classifier.models.sources import SourceValidation
from classifier.models.versions import (
    RESEARCH_SENTENCE,
    Deployment,
    ModelVersion,
)

__all__ = [
    "CLASSIFICATION_TASKS",
    "RESEARCH_SENTENCE",
    "UNROUTED",
    "Classification",
    "Deployment",
    "Explanation",
    "InstanceScore",
    "ModelVersion",
    "Review",
    "ReviewDraft",
    "SourceValidation",
]
