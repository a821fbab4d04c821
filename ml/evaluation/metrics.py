"""Scores of a classifier, in numpy alone, with intervals from resampling whole groups."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.manifest import Metric

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Rows = NDArray[np.int64]

RESAMPLES = 1000
CALIBRATION_BINS = 15
BOOTSTRAP_SEED = 11


def roc_auc(scores: Floats, is_positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative (ties half).

    NaN when one of the two classes is absent.
    """
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    above = ranks[is_positive].sum() - positives * (positives + 1) / 2
    return float(above / positives / negatives)


def macro_auc(scores: Floats, targets: Ints) -> float:
    """Mean one-against-the-rest AUC over the classes that occur."""
    areas = [roc_auc(scores[:, label], targets == label) for label in range(scores.shape[1])]
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")


def confusion_matrix(targets: Ints, given: Ints, *, labels: int) -> NDArray[np.int64]:
    """Counts, one row per true label and one column per given label."""
    flat = np.bincount(np.asarray(targets) * labels + given, minlength=labels * labels)
    return np.asarray(flat.reshape(labels, labels), np.int64)


def score_labels(targets: Ints, given: Ints, labels: Sequence[str]) -> dict[str, float]:
    """Accuracy, balanced accuracy, and recall, precision, F1 and specificity by label."""
    matrix = confusion_matrix(targets, given, labels=len(labels))
    hits, actual, called = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    total = matrix.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits / actual
        columns = {
            "recall": recall,
            "precision": hits / called,
            "f1": 2 * hits / (actual + called),
            "specificity": (total - actual - called + hits) / (total - actual),
        }
    scores = {"accuracy": float(hits.sum() / total), "balanced_accuracy": float(np.nanmean(recall))}
    for name, values in columns.items():
        scores |= {f"{name}.{label}": float(v) for label, v in zip(labels, values, strict=True)}
    return scores


def calibration_error(probabilities: Floats, targets: Ints) -> float:
    """Expected calibration error of the most probable label, in 15 equal bins."""
    top = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == targets
    bins = np.minimum((top * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(float(is_right[bins == index].mean()) - float(top[bins == index].mean()))
        * float((bins == index).mean())
        for index in np.unique(bins)
    ]
    return float(sum(gaps))


def bootstrap(
    score: Callable[[Rows], dict[str, float]], groups: Sequence[str], *, resamples: int = RESAMPLES
) -> dict[str, Metric]:
    """Each score with its 95 % percentile interval over resampled groups.

    Images of one patient stand or fall together, so whole groups are drawn with replacement.
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    rows_of = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    point = score(np.arange(len(groups)))
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws: dict[str, list[float]] = {name: [] for name in point}
    for _ in range(resamples):
        chosen = rng.integers(0, len(names), len(names))
        sample = score(np.concatenate([rows_of[index] for index in chosen]))
        for name, value in sample.items():
            draws[name].append(value)
    return {
        name: Metric(
            value=value,
            low=float(np.nanpercentile(draws[name], 2.5)),
            high=float(np.nanpercentile(draws[name], 97.5)),
            images=len(groups),
        )
        for name, value in point.items()
        if not np.isnan(value)
    }
