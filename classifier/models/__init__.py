"""The rows of the classifier app."""

from classifier.models.classifications import (
    ALARMING_OUTCOMES,
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
from classifier.models.sources import SourceKind, SourceValidation
from classifier.models.versions import (
    RESEARCH_SENTENCE,
    SITE_TASKS,
    STUDY_TASKS,
    TASK_CHOICES,
    TASK_TITLES,
    Deployment,
    MapStanding,
    ModelVersion,
    Stage,
    Task,
)

__all__ = [
    "ALARMING_OUTCOMES",
    "CLASSIFICATION_TASKS",
    "RESEARCH_SENTENCE",
    "SITE_TASKS",
    "STUDY_TASKS",
    "TASK_CHOICES",
    "TASK_TITLES",
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
    "MapStanding",
    "ModelVersion",
    "OverrideReason",
    "Review",
    "ReviewDraft",
    "SourceKind",
    "SourceValidation",
    "Stage",
    "Task",
]
