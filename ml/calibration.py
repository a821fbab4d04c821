"""From logits to probabilities that mean what they say, and the thresholds that decide."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.intervals import wilson_low

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 401))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A label's threshold with the recall and specificity it has on the images it was chosen on."""

    threshold: float
    recall: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Band:
    """Probabilities from `low` to below `high` around a threshold, in which a label is in doubt.

    `share` of the images it was chosen on lie inside; outside `error` of them are wrong.
    """

    low: float
    high: float
    share: float
    error: float


def softmax(logits: Floats, *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities (sum 1 along the last axis) of logits divided by the temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def fit_temperature(logits: Floats, targets: Ints, weights: Floats) -> float:
    """The temperature with the least weighted log loss (Guo et al. 2017), on a fixed grid."""
    rows = np.arange(len(targets))
    losses = [
        -np.average(
            np.log(softmax(logits, temperature=float(value))[rows, targets] + 1e-12),
            weights=weights,
        )
        for value in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def choose_threshold(
    scores: Floats,
    is_positive: NDArray[np.bool_],
    *,
    target_recall: float,
    min_specificity: float = 0.0,
) -> OperatingPoint:
    """The highest threshold that keeps the recall (`highest_threshold`), with what it gives.

    Never below what spares `min_specificity` of the others: one odd image among few positives would
    else have nearly every image called diseased, and a flag on every image tells nobody anything.
    """
    threshold = highest_threshold(scores[is_positive], target_recall=target_recall)
    threshold = max(threshold, _least_sparing(scores[~is_positive], min_specificity))
    is_given = scores >= threshold
    return OperatingPoint(
        threshold=threshold,
        recall=float(is_given[is_positive].mean()),
        specificity=float((~is_given[~is_positive]).mean()),
    )


def _least_sparing(scores: Floats, share: float) -> float:
    """The least threshold, rounded up, below which that share of these scores of negatives lies."""
    if not share or not len(scores):
        return 0.0
    last = np.sort(scores)[int(np.ceil(share * len(scores))) - 1]
    return float(np.floor(last * 1e4) / 1e4) + 1e-4


def highest_threshold(scores: Floats, *, target_recall: float, groups: int = 0) -> float:
    """The highest threshold that keeps the recall among these scores of positives, rounded down.

    Confidence is the lower Wilson bound of the recall: among few positives more of them must
    be found. `groups` are those of the positives, counted in their stead where they are given.
    When no threshold reaches the target, the lowest score decides.
    """
    positives = np.sort(scores)
    counted = groups or len(positives)
    for missed in range(len(positives) - 1, -1, -1):
        found = (len(positives) - missed) * counted / len(positives)
        if wilson_low(found, counted) >= target_recall:
            break
    # Rounding down keeps the positive that decides above its own threshold.
    return max(float(np.floor(positives[missed] * 1e4) / 1e4), 1e-4)


def choose_thresholds(
    scores: Floats,
    targets: Ints,
    labels: Sequence[str],
    *,
    among: Iterable[str],
    target_recall: float,
    min_specificity: float = 0.0,
) -> dict[str, float]:
    """The threshold of each label of `among` that any row (N x K scores) is of, as at export."""
    rows = {label: targets == labels.index(label) for label in among}
    return {
        label: choose_threshold(
            scores[:, labels.index(label)],
            is_positive,
            target_recall=target_recall,
            min_specificity=min_specificity,
        ).threshold
        for label, is_positive in rows.items()
        if is_positive.any()
    }


def choose_band(
    scores: Floats,
    is_positive: NDArray[np.bool_],
    *,
    threshold: float,
    max_error: float,
    max_share: float,
) -> Band:
    """The narrowest band around the threshold outside of which few images are wrong.

    On either side it ends where, of the images beyond, at most `max_error` are on the wrong side
    of the threshold: an error rate of the answers given and one of those withheld, so that many
    clear negatives can't hide what is wrong among the positives. Each side takes at most half of
    `max_share` of the images; where that is not enough, the error outside stays larger, and
    `Band.error` says so.
    """
    limit = int(len(scores) * max_share / 2)
    order = np.argsort(scores, kind="stable")
    ordered, is_diseased = scores[order], is_positive[order]
    middle = int(np.searchsorted(ordered, threshold))
    below = _count_doubtful(is_diseased[:middle][::-1], max_error, limit)
    above = _count_doubtful(~is_diseased[middle:], max_error, limit)
    low = float(ordered[middle - below]) if below else threshold
    high = threshold
    if above:
        last = middle + above == len(ordered)
        high = float(np.nextafter(ordered[-1], 2)) if last else float(ordered[middle + above])
    is_inside = (scores >= low) & (scores < high)
    is_wrong = (scores >= threshold) != is_positive
    return Band(
        low=low,
        high=high,
        share=float(is_inside.mean()),
        error=float(is_wrong[~is_inside].mean()) if not is_inside.all() else 0.0,
    )


def _count_doubtful(is_wrong: NDArray[np.bool_], max_error: float, limit: int) -> int:
    """How many of the images nearest to the threshold to leave out; they come nearest first."""
    for count in range(min(limit, len(is_wrong)) + 1):
        left = is_wrong[count:]
        if not left.size or left.mean() <= max_error:
            return count
    return min(limit, len(is_wrong))
