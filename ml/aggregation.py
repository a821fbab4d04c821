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
    `is_indeterminate` says that the answer lies so near to its threshold that it was too often
    wrong there on the validation images, and `indeterminate_reason` says that to staff.
    """

    label: str
    probabilities: dict[str, float]
    is_above_threshold: dict[str, bool]
    confidence: str
    deciding_frame: int
    is_indeterminate: bool = False
    indeterminate_reason: str = ""


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
    bands: Mapping[str, tuple[float, float]] | None = None,
) -> StudyPrediction:
    """Combine the frames by the rule, then decide by the manifest's operating thresholds.

    A label is given when its probability reaches its threshold, which was chosen for recall; of
    several that do, the most probable one. When none does the answer is the most probable label:
    a threshold makes an answer more likely, never less. `bands` are the probabilities around the
    thresholds (from the first, below the second) in which an answer is indeterminate. Raises
    KeyError for an unknown rule and ValueError without frames.
    """
    if not frame_probabilities:
        raise ValueError("a study needs at least one frame")
    scores = np.array([[frame[label] for label in labels] for frame in frame_probabilities])
    study = AGGREGATIONS[rule](scores, labels.index(normal_label))
    probabilities = {label: float(value) for label, value in zip(labels, study, strict=True)}
    reached = {name: probabilities[name] >= limit for name, limit in thresholds.items()}
    positives = [name for name, is_reached in reached.items() if is_reached]
    label = max(positives or labels, key=lambda name: probabilities[name])
    doubt = _find_doubt(label, probabilities, thresholds, bands or {})
    return StudyPrediction(
        label=label,
        probabilities=probabilities,
        is_above_threshold=reached,
        confidence=_grade_confidence(label, probabilities, thresholds),
        deciding_frame=int(scores[:, labels.index(label)].argmax()),
        is_indeterminate=bool(doubt),
        indeterminate_reason=doubt,
    )


def _find_doubt(
    label: str,
    probabilities: Mapping[str, float],
    thresholds: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> str:
    """Why the answer is indeterminate: by its own band if it has a threshold, else by any."""
    for name in [label] if label in thresholds else list(thresholds):
        low, high = bands.get(name, (thresholds[name], thresholds[name]))
        if low <= probabilities[name] < high:
            return (
                f"The probability of {name} ({probabilities[name]:.2f}) is too close to its "
                f"threshold ({thresholds[name]:.2f}) to tell."
            )
    return ""


def _grade_confidence(
    label: str, probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> str:
    """How far the answer is from tipping over, as a part of the way to certainty."""
    if label in thresholds:
        margin = (probabilities[label] - thresholds[label]) / max(1 - thresholds[label], 1e-9)
    else:
        rivals = [probability for name, probability in probabilities.items() if name != label]
        margin = min(
            1.0,
            (probabilities[label] - max(rivals)) / max(1 - max(rivals), 1e-9),
            *(
                (limit - probabilities[name]) / max(limit, 1e-9)
                for name, limit in thresholds.items()
            ),
        )
    if margin >= HIGH_CONFIDENCE:
        return "high"
    return "medium" if margin >= MEDIUM_CONFIDENCE else "low"
