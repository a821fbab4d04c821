"""From the probabilities of a study's frames to one label, its confidence and deciding frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

# Parts of the way from the operating threshold to certainty; from these on a result is called so.
HIGH_CONFIDENCE = 0.6
MEDIUM_CONFIDENCE = 0.25


@dataclass(frozen=True, slots=True)
class StudyPrediction:
    """The answer for a study.

    `is_above_threshold` says for each disease whether its threshold was reached; `confidence` is
    `high`, `medium` or `low`; `deciding_frame` is the index of the frame to show first.
    """

    label: str
    probabilities: dict[str, float]
    is_above_threshold: dict[str, bool]
    confidence: str
    deciding_frame: int


def _take_mean(scores: Scores, normal: int) -> Scores:
    return np.asarray(scores.mean(axis=0))


def _take_most_diseased(scores: Scores, normal: int) -> Scores:
    return np.asarray(scores[scores[:, normal].argmin()])


# How N x K frame probabilities become the study's K: their mean (several views of one finding),
# or those of the frame least likely to be normal (one diseased frame is enough).
AGGREGATIONS: dict[str, Callable[[Scores, int], Scores]] = {
    "mean": _take_mean,
    "max_disease": _take_most_diseased,
}


def aggregate(
    rule: str,
    frame_probabilities: Sequence[Mapping[str, float]],
    labels: Sequence[str],
    normal_label: str,
    *,
    thresholds: Mapping[str, float],
) -> StudyPrediction:
    """Combine the frames by the rule, then decide by the manifest's operating thresholds.

    A disease is given when its probability reaches its threshold, which was chosen for recall; of
    several that do, the most probable one. When none does the answer is the normal label, even
    if a disease below its threshold is the most probable: confidence is then low. Raises KeyError
    for an unknown rule and ValueError without frames.
    """
    if not frame_probabilities:
        raise ValueError("a study needs at least one frame")
    scores = np.array([[frame[label] for label in labels] for frame in frame_probabilities])
    study = AGGREGATIONS[rule](scores, labels.index(normal_label))
    probabilities = {label: float(value) for label, value in zip(labels, study, strict=True)}
    reached = {name: probabilities[name] >= limit for name, limit in thresholds.items()}
    positives = [name for name, is_reached in reached.items() if is_reached]
    label = max(positives, key=lambda name: probabilities[name]) if positives else normal_label
    return StudyPrediction(
        label=label,
        probabilities=probabilities,
        is_above_threshold=reached,
        confidence=_grade_confidence(label, probabilities, thresholds),
        deciding_frame=int(scores[:, labels.index(label)].argmax()),
    )


def _grade_confidence(
    label: str, probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> str:
    """How far the answer is from tipping over, as a part of the way to certainty."""
    if label in thresholds:
        margin = (probabilities[label] - thresholds[label]) / max(1 - thresholds[label], 1e-9)
    else:
        margin = min(
            (limit - probabilities[name]) / max(limit, 1e-9) for name, limit in thresholds.items()
        )
        if probabilities[label] < max(probabilities.values()):
            margin = 0.0
    if margin >= HIGH_CONFIDENCE:
        return "high"
    return "medium" if margin >= MEDIUM_CONFIDENCE else "low"
