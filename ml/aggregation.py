"""From the probabilities of a study's frames to one outcome, its confidence and deciding frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

# Parts of the way from the operating threshold to certainty; from these on a result is called so.
HIGH_CONFIDENCE = 0.6
MEDIUM_CONFIDENCE = 0.25
# Operating point of a disease for which the manifest names none: more likely there than not.
DEFAULT_OPERATING_POINT = 0.5


class Outcome(StrEnum):
    """What an answer amounts to; exactly one of them, and every place that shows it says which.

    - `finding`: a disease at or above its operating point and outside its indeterminate band.
    - `no_finding`: the normal label leads, and no disease passed.
    - `below_operating_point`: a disease leads, and none passed.
    - `indeterminate`: no disease passed outside its band, and one lies inside its own.
    - `abstained`: no answer is given.
    """

    FINDING = "finding"
    NO_FINDING = "no_finding"
    BELOW_OPERATING_POINT = "below_operating_point"
    INDETERMINATE = "indeterminate"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class StudyPrediction:
    """The answer for a study.

    `label` is the finding or the normal label, None where the outcome gives neither;
    `suspected_label` is then the disease in question. `label_at_thresholds` is one label whatever
    the outcome, as tables of figures need it: of the labels that reached their threshold the most
    probable, else the most probable of all. It is no answer.
    `is_above_threshold` says for each disease whether its operating point was reached; `confidence`
    is `high`, `medium` or `low`, and always low without a label; `deciding_frame` is the index of
    the frame to show first. `doubt` says to staff which disease lies so near to its operating point
    that answers were too often wrong there on the validation images; empty for none. An answer can
    be a finding and have one about another disease. `also_passed` says which diseases passed beside
    the label given: it must not hide them.
    """

    outcome: Outcome
    label: str | None
    suspected_label: str | None
    label_at_thresholds: str
    probabilities: dict[str, float]
    is_above_threshold: dict[str, bool]
    confidence: str
    deciding_frame: int
    doubt: str = ""
    also_passed: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome with what it names: a label, or a suspected one."""

    outcome: Outcome
    label: str | None = None
    suspected_label: str | None = None


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

    `bands` are the probabilities around the thresholds (from the first, below the second) in which
    an answer is indeterminate. Raises KeyError for an unknown rule and ValueError without frames.
    """
    if not frame_probabilities:
        raise ValueError("a study needs at least one frame")
    scores = np.array([[frame[label] for label in labels] for frame in frame_probabilities])
    study = AGGREGATIONS[rule](scores, labels.index(normal_label))
    probabilities = {label: float(value) for label, value in zip(labels, study, strict=True)}
    points = operating_points(labels, normal_label, thresholds)
    decision = decide(probabilities, normal_label, thresholds=thresholds, bands=bands or {})
    reached = [name for name in thresholds if probabilities[name] >= thresholds[name]]
    shown = decision.label or decision.suspected_label or normal_label
    return StudyPrediction(
        outcome=decision.outcome,
        label=decision.label,
        suspected_label=decision.suspected_label,
        label_at_thresholds=max(reached or labels, key=lambda name: probabilities[name]),
        probabilities=probabilities,
        is_above_threshold={name: probabilities[name] >= points[name] for name in points},
        confidence=_grade_confidence(decision.label, probabilities, thresholds),
        deciding_frame=int(scores[:, labels.index(shown)].argmax()),
        doubt=_describe_doubt(probabilities, points, bands or {}),
        also_passed=_describe_others(decision, probabilities, points, bands or {}),
    )


def operating_points(
    labels: Sequence[str], normal_label: str, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """The probability from which each disease is given: its threshold, else the default."""
    return {
        label: thresholds.get(label, DEFAULT_OPERATING_POINT)
        for label in labels
        if label != normal_label
    }


def decide(
    probabilities: Mapping[str, float],
    normal_label: str,
    *,
    thresholds: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> Decision:
    """The outcome by each disease's operating point and indeterminate band.

    A disease that passed outside its band settles it, the most probable of several; else one inside
    its band leaves it open, however probable the normal label is; else the leading label decides.
    Diseases whose point was chosen for recall (`thresholds`) are asked before those at the default
    point: a benign label, however probable, must not hide what must not be missed.
    """
    points = operating_points(list(probabilities), normal_label, thresholds)
    doubtful = _doubtful(probabilities, points, bands)
    passed = _passed(probabilities, points, bands)
    chosen = [name for name in passed if name in thresholds]
    if chosen or (passed and not doubtful):
        label = max(chosen or passed, key=lambda name: probabilities[name])
        return Decision(Outcome.FINDING, label=label)
    if doubtful:
        suspected = max(doubtful, key=lambda name: probabilities[name])
        return Decision(Outcome.INDETERMINATE, suspected_label=suspected)
    leading = max(points, key=lambda name: probabilities[name], default=normal_label)
    if probabilities[normal_label] >= probabilities[leading]:
        return Decision(Outcome.NO_FINDING, label=normal_label)
    return Decision(Outcome.BELOW_OPERATING_POINT, suspected_label=leading)


def _doubtful(
    probabilities: Mapping[str, float],
    points: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> list[str]:
    """The diseases that lie inside their band."""
    return [
        name
        for name in points
        if name in bands and bands[name][0] <= probabilities[name] < bands[name][1]
    ]


def _passed(
    probabilities: Mapping[str, float],
    points: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> list[str]:
    """The diseases at or above their operating point and outside their band."""
    doubtful = _doubtful(probabilities, points, bands)
    reached = [name for name, point in points.items() if probabilities[name] >= point]
    return [name for name in reached if name not in doubtful]


def _describe_others(
    decision: Decision,
    probabilities: Mapping[str, float],
    points: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> str:
    """Which diseases passed beside the one that is given, in a sentence for each."""
    return " ".join(
        f"The probability of {name} ({probabilities[name]:.2f}) is above its "
        f"operating point ({points[name]:.2f}) too."
        for name in _passed(probabilities, points, bands)
        if name != decision.label
    )


def _describe_doubt(
    probabilities: Mapping[str, float],
    points: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> str:
    """Which diseases are too close to call, in a sentence for each."""
    return " ".join(
        f"The probability of {name} ({probabilities[name]:.2f}) is too close to its "
        f"operating point ({points[name]:.2f}) to tell."
        for name in _doubtful(probabilities, points, bands)
    )


def _grade_confidence(
    label: str | None, probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> str:
    """How far the answer is from tipping over, as a part of the way to certainty."""
    if label is None:
        return "low"
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
