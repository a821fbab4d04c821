"""From logits to probabilities that mean what they say, and the thresholds that decide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 401))
# One-sided 95 % quantile of the normal distribution.
ONE_SIDED_95 = 1.6449


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A label's threshold with the recall and specificity it has on the images it was chosen on."""

    threshold: float
    recall: float
    specificity: float


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
    scores: Floats, is_positive: NDArray[np.bool_], *, target_recall: float
) -> OperatingPoint:
    """The highest threshold that keeps the target recall with 95 % confidence, rounded down.

    Confidence is the lower Wilson bound of the recall: among few positives more of them must
    be found. When no threshold reaches the target, the lowest positive score decides.
    """
    positives = np.sort(scores[is_positive])
    for missed in range(len(positives) - 1, -1, -1):
        if wilson_low(len(positives) - missed, len(positives)) >= target_recall:
            break
    # Rounding down keeps the positive that decides above its own threshold.
    threshold = max(float(np.floor(positives[missed] * 1e4) / 1e4), 1e-4)
    is_given = scores >= threshold
    return OperatingPoint(
        threshold=threshold,
        recall=float(is_given[is_positive].mean()),
        specificity=float((~is_given[~is_positive]).mean()),
    )


def wilson_low(found: int, total: int) -> float:
    """Lower end of Wilson's one-sided 95 % interval of a share."""
    share, z2 = found / total, ONE_SIDED_95**2
    spread = ONE_SIDED_95 * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return float((share + z2 / (2 * total) - spread) / (1 + z2 / total))
