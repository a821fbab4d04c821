"""From the probabilities of a study's frames to one outcome, its confidence and deciding frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ml.confidence import HIGH, LOW, MEDIUM, WORDS, Confidence
from ml.conformal import is_cleared, list_open
from ml.limits import Conformal
from ml.series import Tally

Scores = NDArray[np.float64]

# Parts of the way from the operating threshold to certainty; from these on a result is called so
# where the manifest names no margins that were earned.
FIXED_MARGINS = {HIGH: 0.6, MEDIUM: 0.25}
# Operating point of a disease for which the manifest names none: more likely there than not.
DEFAULT_OPERATING_POINT = 0.5


class Outcome(StrEnum):
    """What an answer amounts to; exactly one of them, and every place that shows it says which.

    - `finding`: a disease at or above its operating point and outside its indeterminate band, and
      the most probable label of all.
    - `flagged`: a disease passed likewise, and another label is more probable: it can't be ruled
      out, and what it most likely is, is said beside it.
    - `no_finding`: the normal label leads, and no disease passed.
    - `below_operating_point`: a disease leads, and none passed.
    - `indeterminate`: no disease passed outside its band, and one lies inside its own.
    - `abstained`: no answer is given.
    """

    FINDING = "finding"
    FLAGGED = "flagged"
    NO_FINDING = "no_finding"
    BELOW_OPERATING_POINT = "below_operating_point"
    INDETERMINATE = "indeterminate"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class StudyPrediction:
    """The answer for a study.

    `label` is the finding or the normal label, None where the outcome gives neither;
    `suspected_label` is then the disease in question. `likeliest_label` is the most probable of
    all, whatever the outcome. `label_at_thresholds` is one label whatever
    the outcome, as tables of figures need it: of the labels that reached their threshold the most
    probable, else the most probable of all. It is no answer.
    `is_above_threshold` says for each disease whether its operating point was reached; `confidence`
    is `high`, `medium` or `low`, and always low without a label; `deciding_frame` is the index of
    the frame to show first. `doubt` says to staff which disease lies so near to its operating point
    that answers were too often wrong there on the validation images; empty for none. An answer can
    be a finding and have one about another disease. `also_passed` says which diseases passed beside
    the label given: it must not hide them. `tally` tells how many of several images say so.
    """

    outcome: Outcome
    label: str | None
    suspected_label: str | None
    likeliest_label: str
    label_at_thresholds: str
    probabilities: dict[str, float]
    is_above_threshold: dict[str, bool]
    confidence: str
    deciding_frame: int
    doubt: str = ""
    also_passed: str = ""
    tally: Tally | None = None


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
    conformal: Conformal | None = None,
    confidence: Confidence | None = None,
) -> StudyPrediction:
    """Combine the frames by the rule, then decide by the manifest's operating thresholds.

    `bands` are the probabilities around the thresholds (from the first, below the second) in which
    an answer is indeterminate. `confidence` says from which margins a word of confidence was
    earned; without it the words are fixed parts of the way. Raises KeyError for an unknown rule and
    ValueError without frames.
    """
    if not frame_probabilities:
        raise ValueError("a study needs at least one frame")
    scores = np.array([[frame[label] for label in labels] for frame in frame_probabilities])
    study = AGGREGATIONS[rule](scores, labels.index(normal_label))
    probabilities = {label: float(value) for label, value in zip(labels, study, strict=True)}
    points = operating_points(labels, normal_label, thresholds)
    decision = decide(probabilities, normal_label, thresholds=thresholds, bands=bands or {})
    decision, reserve = hold_to(conformal, decision, probabilities, normal_label)
    reached = [name for name in thresholds if probabilities[name] >= thresholds[name]]
    shown = decision.label or decision.suspected_label or normal_label
    return StudyPrediction(
        outcome=decision.outcome,
        label=decision.label,
        suspected_label=decision.suspected_label,
        likeliest_label=find_likeliest(probabilities, shown),
        label_at_thresholds=max(reached or labels, key=lambda name: probabilities[name]),
        probabilities=probabilities,
        is_above_threshold={name: probabilities[name] >= points[name] for name in points},
        confidence=grade_confidence(
            measure_margin(decision.label, probabilities, thresholds), confidence
        ),
        deciding_frame=int(scores[:, labels.index(shown)].argmax()),
        doubt=f"{_describe_doubt(probabilities, points, bands or {})} {reserve}".strip(),
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

    A disease that passed outside its band settles it, the most probable of several: a finding where
    no label is more probable, else a flag. Else one inside its band leaves it open, however
    probable the normal label is; else the leading label decides. Diseases whose point was chosen
    for recall (`thresholds`) are asked before those at the default point: a benign label, however
    probable, must not hide what must not be missed.
    """
    points = operating_points(list(probabilities), normal_label, thresholds)
    doubtful = _doubtful(probabilities, points, bands)
    passed = _passed(probabilities, points, bands)
    chosen = [name for name in passed if name in thresholds]
    if chosen or (passed and not doubtful):
        first = max(chosen or passed, key=lambda name: probabilities[name])
        if find_likeliest(probabilities, first) != first:
            return Decision(Outcome.FLAGGED, suspected_label=first)
        return Decision(Outcome.FINDING, label=first)
    if doubtful:
        suspected = max(doubtful, key=lambda name: probabilities[name])
        return Decision(Outcome.INDETERMINATE, suspected_label=suspected)
    leading = max(points, key=lambda name: probabilities[name], default=normal_label)
    if probabilities[normal_label] >= probabilities[leading]:
        return Decision(Outcome.NO_FINDING, label=normal_label)
    return Decision(Outcome.BELOW_OPERATING_POINT, suspected_label=leading)


def hold_to(
    conformal: Conformal | None,
    decision: Decision,
    probabilities: Mapping[str, float],
    normal_label: str,
) -> tuple[Decision, str]:
    """The decision as far as the conformal sets bear it, and a sentence on what stays open.

    The normal label is withdrawn where a disease can't be ruled out, or where it is too improbable
    for the negative predictive value asked for. A disease is never withdrawn: what else can't be
    ruled out is said beside it. Without `conformal` all stays as it is.
    """
    if conformal is None:
        return decision, ""
    unsettled = list_open(conformal, probabilities, normal_label)
    others = [name for name in unsettled if name not in (decision.label, decision.suspected_label)]
    sentence = " ".join(
        f"{name} ({probabilities[name]:.2f}) can't be ruled out." for name in others
    )
    if decision.outcome != Outcome.NO_FINDING:
        return decision, sentence
    if unsettled:
        return Decision(Outcome.INDETERMINATE, suspected_label=unsettled[0]), sentence
    if is_cleared(conformal, probabilities[normal_label]):
        return decision, ""
    diseases = [name for name in probabilities if name != normal_label]
    suspected = max(diseases, key=lambda name: probabilities[name], default=None)
    sentence = f"The probability of {normal_label} ({probabilities[normal_label]:.2f}) is too low"
    return Decision(Outcome.INDETERMINATE, suspected_label=suspected), f"{sentence} to say it."


def find_likeliest(probabilities: Mapping[str, float], named: str) -> str:
    """The most probable label; of several equal ones the one `named` in the answer."""
    return max(probabilities, key=lambda name: (probabilities[name], name == named))


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
        if name not in (decision.label, decision.suspected_label)
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


def measure_margin(
    label: str | None, probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> float | None:
    """How far the answer is from tipping over, as a part of the way to certainty (1 at most).

    None without a label: there is nothing to be sure of.
    """
    if label is None:
        return None
    if label in thresholds:
        return (probabilities[label] - thresholds[label]) / max(1 - thresholds[label], 1e-9)
    rivals = [probability for name, probability in probabilities.items() if name != label]
    return min(
        1.0,
        (probabilities[label] - max(rivals)) / max(1 - max(rivals), 1e-9),
        *((limit - probabilities[name]) / max(limit, 1e-9) for name, limit in thresholds.items()),
    )


def grade_confidence(margin: float | None, confidence: Confidence | None = None) -> str:
    """The word for a margin: the strongest that was earned, always `low` without a label."""
    earned = confidence.margins if confidence else FIXED_MARGINS
    if margin is not None:
        for word in WORDS:
            if word in earned and margin >= earned[word]:
                return word
    return LOW
