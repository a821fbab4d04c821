"""Scores of a classifier, with intervals from resampling whole groups."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ml.manifest import Metric
from ml.workshop.evaluation.exact import Basis, rest_metrics

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Rows = NDArray[np.int64]
Weights = NDArray[np.float64]
Draws = NDArray[np.float64]

RESAMPLES = 1000
CALIBRATION_BINS = 15
BOOTSTRAP_SEED = 11
# Resamples scored at once: bounds memory at some MB for a few thousand images.
RESAMPLE_CHUNK = 100


def roc_auc(scores: Floats, is_positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative (ties half).

    NaN when one of the two classes is absent.
    """
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return float("nan")
    above = rankdata(scores)[is_positive].sum() - positives * (positives + 1) / 2
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
    """Accuracy, balanced accuracy, and recall, precision, F1 and specificity by label and macro."""
    matrix = confusion_matrix(targets, given, labels=len(labels))
    return {name: float(value) for name, value in score_matrices(matrix, labels).items()}


def score_matrices(
    matrices: NDArray[np.integer] | NDArray[np.floating], labels: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """The figures of `score_labels` for confusion matrices (... x K x K), each of shape (...).

    A figure with nothing to count is NaN, and the macro means leave it out.
    """
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    actual, called = matrices.sum(axis=-1), matrices.sum(axis=-2)
    total = actual.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "recall": hits / actual,
            "precision": hits / called,
            "f1": 2 * hits / (actual + called),
            "specificity": (total - actual - called + hits) / (total - actual),
        }
        scores = {"accuracy": hits.sum(axis=-1) / total[..., 0]}
    scores["balanced_accuracy"] = mean_known(columns["recall"])
    for name, values in columns.items():
        scores |= {f"{name}.{label}": values[..., row] for row, label in enumerate(labels)}
    for name in ("precision", "f1", "specificity"):
        scores[f"macro_{name}"] = mean_known(columns[name])
    return scores


def mean_known(values: Floats) -> NDArray[np.float64]:
    """Mean along the last axis without its NaNs; NaN where nothing else is there."""
    is_known = ~np.isnan(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.where(is_known, values, 0).sum(axis=-1)
        return np.asarray(sums / is_known.sum(axis=-1), np.float64)


def calibration_error(probabilities: Floats, targets: Ints) -> float:
    """Expected calibration error of the most probable label, in 15 equal bins."""
    return float(weigh_calibration(np.ones((1, len(targets))), probabilities, targets)[0])


def weigh_calibration(weights: Weights, probabilities: Floats, targets: Ints) -> Draws:
    """Expected calibration error for each row of image weights (B x N)."""
    top = probabilities.max(axis=1)
    gaps = (probabilities.argmax(axis=1) == targets) - top
    bins = np.minimum((top * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    in_bin = np.eye(CALIBRATION_BINS)[bins] * gaps[:, None]
    return np.asarray(np.abs(weights @ in_bin).sum(axis=1) / weights.sum(axis=1))


def bootstrap(
    score: Callable[[Rows], dict[str, float]],
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    bases: Mapping[str, Basis] | None = None,
) -> dict[str, Metric]:
    """Each score of the given rows with its 95 % percentile interval over resampled groups.

    `bases` say what a figure rests on, so that it gets an exact interval where resamples are all
    alike.
    Images of one patient stand or fall together, so whole groups are drawn with replacement.
    `bootstrap_weights` does the same, much faster, for scores that can be weighted.
    """
    everything = np.arange(len(groups))
    point = score(everything)
    samples = [
        score(np.repeat(everything, counts.astype(np.int64)))
        for weights in draw_groups(groups, resamples)
        for counts in weights
    ]
    draws = {name: np.array([sample[name] for sample in samples]) for name in point}
    return rest_metrics(make_metrics(point, draws, images=len(groups)), bases or {}, groups)


def bootstrap_weights(
    score: Callable[[Weights], Mapping[str, Draws]],
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    bases: Mapping[str, Basis] | None = None,
) -> dict[str, Metric]:
    """As `bootstrap`, for a score that takes image weights (B x N) and returns B values a figure.

    A resample is a weight for each image: how often its group was drawn.
    """
    point = {name: float(values[0]) for name, values in score(np.ones((1, len(groups)))).items()}
    parts = [score(weights) for weights in draw_groups(groups, resamples)]
    draws = {name: np.concatenate([part[name] for part in parts]) for name in point}
    return rest_metrics(make_metrics(point, draws, images=len(groups)), bases or {}, groups)


def draw_groups(groups: Sequence[str], resamples: int) -> Iterator[Weights]:
    """How often each image occurs in each resample of whole groups, in chunks (B x N)."""
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    for start in range(0, resamples, RESAMPLE_CHUNK):
        chosen = [
            np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
            for _ in range(min(RESAMPLE_CHUNK, resamples - start))
        ]
        yield np.stack(chosen)[:, group_of].astype(np.float64)


def make_metrics(
    point: Mapping[str, float], draws: Mapping[str, Draws], *, images: int
) -> dict[str, Metric]:
    """Figures with the 2.5th and 97.5th percentile of their draws; those without a value go."""
    metrics = {}
    for name, value in point.items():
        known = draws[name][~np.isnan(draws[name])]
        if not np.isnan(value) and known.size:
            low, high = np.percentile(known, (2.5, 97.5))
            metrics[name] = Metric(value=value, low=float(low), high=float(high), images=images)
    return metrics


def weigh_auc(weights: Weights, scores: Floats, is_positive: NDArray[np.bool_]) -> Draws:
    """`roc_auc` for each row of image weights (B x N); NaN where one class has no weight."""
    hits, alarms = _weigh_steps(weights, scores, is_positive)
    below = alarms.sum(axis=1, keepdims=True) - alarms.cumsum(axis=1) + alarms / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = hits.sum(axis=1) * alarms.sum(axis=1)
        return np.asarray((hits * below).sum(axis=1) / pairs)


def weigh_average_precision(
    weights: Weights, scores: Floats, is_positive: NDArray[np.bool_]
) -> Draws:
    """Average precision for each row of image weights: precision at each step of recall.

    The area under the precision-recall curve without interpolation (as scikit-learn defines it).
    """
    hits, alarms = _weigh_steps(weights, scores, is_positive)
    found, called = hits.cumsum(axis=1), (hits + alarms).cumsum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(called > 0, found / called, 0)
        return np.asarray((hits * precision).sum(axis=1) / hits.sum(axis=1))


def weigh_brier(weights: Weights, probabilities: Floats, targets: Ints) -> Draws:
    """Mean squared distance of the probabilities to the truth (Brier 1950): 0 best, 2 worst."""
    wrong = probabilities - np.eye(probabilities.shape[1])[targets]
    return np.asarray(weights @ np.square(wrong).sum(axis=1) / weights.sum(axis=1))


def weigh_share(weights: Weights, is_counted: NDArray[np.bool_]) -> Draws:
    """The weight's share that is counted, for each row of weights; NaN without any weight."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(weights @ is_counted / weights.sum(axis=1))


def weigh_basis(weights: Weights, basis: Basis) -> Draws:
    """The same of what a share rests on: the weight of its one side that counts."""
    (side,) = basis.sides
    if basis.hits is None:
        raise ValueError("this figure is no share")
    return weigh_share(weights * side, basis.hits)


def _weigh_steps(
    weights: Weights, scores: Floats, is_positive: NDArray[np.bool_]
) -> tuple[Weights, Weights]:
    """Weight of positives and of negatives at each distinct score, highest first (B x S each)."""
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], is_positive[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    shuffled = weights[:, order]
    hits = np.add.reduceat(shuffled * positive, starts, axis=1)
    return hits, np.add.reduceat(shuffled * ~positive, starts, axis=1)
