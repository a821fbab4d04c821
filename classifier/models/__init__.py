"""The rows of the classifier app."""

from classifier.models.classifications import (
    CLASSIFICATION_TASKS,
    UNROUTED,
    Abstention,
    Classification,
    ClassificationOutcome,
    ClassificationState,
    Confidence,
)
from classifier.models.drafts import ReviewDraft
from classifier.models.reviews import Decision, OverrideReason, Review
from classifier.models.scores import Explanation, InstanceScore
from classifier.models.versions import (
    RESEARCH_SENTENCE,
    STUDY_TASKS,
    Deployment,
    ModelVersion,
    Stage,
    Task,
)

__all__ = [
    "CLASSIFICATION_TASKS",
    "RESEARCH_SENTENCE",
    "STUDY_TASKS",
    "UNROUTED",
    "Abstention",
    "Classification",
    "ClassificationOutcome",
    "ClassificationState",
    "Confidence",
    "Decision",
    "Deployment",
    "Explanation",
    "InstanceScore",
    "ModelVersion",
    "OverrideReason",
    "Review",
    "ReviewDraft",
    "Stage",
    "Task",
]
