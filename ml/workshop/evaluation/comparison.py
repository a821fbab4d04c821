"""Two sets of answers to the same images, side by side, with paired tests."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ml.errors import ComparisonRefused
from ml.manifest import Metric
from ml.workshop.evaluation.exact import list_call_bases, list_ranking_bases
from ml.workshop.evaluation.metrics import (
    RESAMPLES,
    Draws,
    Weights,
    bootstrap_weights,
    mean_known,
    weigh_auc,
    weigh_share,
)
from ml.workshop.evaluation.page import render_template
from ml.workshop.evaluation.predictions import read_answers
from ml.workshop.evaluation.scoring import Answers

REPORT = "comparison.json"
PAGE = "comparison.html"


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to a set of images: names and groups, and arrays with a row for each."""

    name: str
    labels: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[str, ...]
    targets: NDArray[np.int64]
    given: NDArray[np.int64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FigureComparison:
    """One figure of both, and the second less the first, with intervals over whole groups."""

    first: Metric
    second: Metric
    difference: Metric


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A test's p-value under no difference; it takes the images for independent.

    The statistic is None where it would be infinite: the two differ and nothing varies.
    """

    test: str
    figure: str
    statistic: float | None
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of answers: their figures, the tests, and how often which of them was right."""

    first: str
    second: str
    images: int
    groups: int
    figures: dict[str, FigureComparison]
    tests: list[PairedTest]
    agreement: dict[str, int]


def read_predictions(path: Path) -> Predictions:
    """A `predictions.csv` that an evaluation wrote; raises ComparisonRefused."""
    try:
        labels, answers = read_answers(path)
    except (OSError, TypeError, ValueError) as error:
        raise ComparisonRefused(detail=f"{path}: {error}") from error
    return take_answers(answers, labels, name=path.parent.name or path.stem)


def take_answers(answers: Answers, labels: tuple[str, ...], *, name: str) -> Predictions:
    """A bundle's answers in the form that is compared."""
    return Predictions(
        name=name,
        labels=labels,
        images=tuple(example.name for example in answers.examples),
        groups=tuple(answers.groups),
        targets=answers.targets,
        given=answers.given,
        probabilities=answers.probabilities,
    )


def compare_predictions(
    first: Predictions, second: Predictions, *, resamples: int = RESAMPLES
) -> Comparison:
    """Figures, differences and tests; raises ComparisonRefused unless labels and images agree.

    The interval of the difference over resampled groups is the answer to trust: the tests count
    the images of one patient as if they were different people's.
    """
    second = _align(first, second)
    figures = _compare_figures(first, second, resamples=resamples)
    is_right = [one.given == one.targets for one in (first, second)]
    only_first = int((is_right[0] & ~is_right[1]).sum())
    only_second = int((~is_right[0] & is_right[1]).sum())
    tests = [PairedTest("McNemar, exact", "accuracy", *run_mcnemar(only_first, only_second))]
    for row, label in enumerate(first.labels):
        is_positive = first.targets == row
        if 1 < is_positive.sum() < len(is_positive) - 1:
            scores = np.stack([first.probabilities[:, row], second.probabilities[:, row]])
            tests.append(PairedTest("DeLong", f"auc.{label}", *run_delong(scores, is_positive)))
    return Comparison(
        first=first.name,
        second=second.name,
        images=len(first.images),
        groups=len(set(first.groups)),
        figures=figures,
        tests=tests,
        agreement={
            "both right": int((is_right[0] & is_right[1]).sum()),
            "only first right": only_first,
            "only second right": only_second,
            "both wrong": int((~is_right[0] & ~is_right[1]).sum()),
        },
    )


def write_comparison(comparison: Comparison, out: Path) -> None:
    """The comparison as JSON and as a page."""
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT).write_text(json.dumps(asdict(comparison), indent=2) + "\n")
    page = render_template("comparison.html", comparison=comparison)
    (out / PAGE).write_text(page, encoding="utf-8")


def _align(first: Predictions, second: Predictions) -> Predictions:
    """The second one in the order of the first."""
    if first.labels != second.labels:
        names = [", ".join(one.labels) for one in (first, second)]
        raise ComparisonRefused(detail=f"their labels differ ({names[0]} and {names[1]})")
    if len(set(first.images)) != len(first.images) or set(first.images) != set(second.images):
        shared = len(set(first.images) & set(second.images))
        detail = f"{len(first.images)} and {len(second.images)} images, {shared} of them the same"
        raise ComparisonRefused(detail=detail)
    if len(second.images) != len(first.images):
        raise ComparisonRefused(detail="an image occurs twice")
    row_of = {image: row for row, image in enumerate(second.images)}
    order = np.array([row_of[image] for image in first.images])
    aligned = Predictions(
        name=second.name,
        labels=second.labels,
        images=first.images,
        groups=first.groups,
        targets=second.targets[order],
        given=second.given[order],
        probabilities=second.probabilities[order],
    )
    if (aligned.targets != first.targets).any():
        raise ComparisonRefused(detail="the true labels of some images differ")
    return aligned


def _compare_figures(
    first: Predictions, second: Predictions, *, resamples: int
) -> dict[str, FigureComparison]:
    def score(weights: Weights) -> dict[str, Draws]:
        both = [_weigh_figures(one, weights) for one in (first, second)]
        return {
            **{f"first {name}": values for name, values in both[0].items()},
            **{f"second {name}": values for name, values in both[1].items()},
            **{f"difference {name}": both[1][name] - both[0][name] for name in both[0]},
        }

    bases = {
        f"{place} {name}": basis
        for place, one in (("first", first), ("second", second))
        for name, basis in {
            **list_call_bases(one.targets, one.given, one.labels),
            **list_ranking_bases(one.targets, one.labels),
        }.items()
    }
    metrics = bootstrap_weights(score, first.groups, resamples=resamples, bases=bases)
    names = [key.removeprefix("difference ") for key in metrics if key.startswith("difference ")]
    return {
        name: FigureComparison(
            metrics[f"first {name}"], metrics[f"second {name}"], metrics[f"difference {name}"]
        )
        for name in names
    }


def _weigh_figures(one: Predictions, weights: Weights) -> dict[str, Draws]:
    """Accuracy, and recall and AUC by label and as means, for each row of image weights."""
    is_right = one.given == one.targets
    recalls, areas = [], []
    for row in range(len(one.labels)):
        is_positive = one.targets == row
        recalls.append(weigh_share(weights * is_positive, is_right))
        areas.append(weigh_auc(weights, one.probabilities[:, row], is_positive))
    return {
        "accuracy": weigh_share(weights, is_right),
        "balanced_accuracy": mean_known(np.stack(recalls, axis=-1)),
        "macro_auc": mean_known(np.stack(areas, axis=-1)),
        **{f"recall.{label}": found for label, found in zip(one.labels, recalls, strict=True)},
        **{f"auc.{label}": found for label, found in zip(one.labels, areas, strict=True)},
    }


def run_mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Exact McNemar test: the smaller of the two counts, and its two-sided binomial p-value.

    Under no difference, an image that only one of them got right is as likely the one's.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail = ways = 1
    for count in range(fewer):
        ways = ways * (total - count) // (count + 1)
        tail += ways
    # Whole numbers, as 2**total may be beyond what a float can hold.
    return float(fewer), min(1.0, 2 * tail / 2**total)


def run_delong(
    scores: NDArray[np.floating], is_positive: NDArray[np.bool_]
) -> tuple[float | None, float]:
    """z and the two-sided p-value for equal AUC of two scores (2 x N) on the same images.

    Scores that order all pairs alike differ by nothing: z 0, p 1. An infinite z is None.
    """
    areas, covariance = measure_delong(scores, is_positive)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = float(areas[1] - areas[0])
    if variance <= 1e-15:
        return (0.0, 1.0) if abs(difference) < 1e-12 else (None, 0.0)
    z = difference / math.sqrt(variance)
    return z, math.erfc(abs(z) / math.sqrt(2))


def measure_delong(
    scores: NDArray[np.floating], is_positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUC of each of M scores (M x N) and their M x M covariance (DeLong et al. 1988).

    By mid-ranks, as Sun and Xu (IEEE Signal Processing Letters 21, 2014) show: a positive's
    rank among all less its rank among positives counts the negatives below it. Needs two images
    on either side.
    """
    positives, negatives = scores[:, is_positive], scores[:, ~is_positive]
    count, rest = positives.shape[1], negatives.shape[1]
    together = rankdata(np.hstack([positives, negatives]), axis=1)
    above = (together[:, :count] - rankdata(positives, axis=1)) / rest
    below = 1 - (together[:, count:] - rankdata(negatives, axis=1)) / count
    covariance = np.cov(above) / count + np.cov(below) / rest
    return above.mean(axis=1), np.atleast_2d(covariance)


def describe_tests(tests: Sequence[PairedTest]) -> str:
    """A line for each test, for the terminal."""
    return "".join(
        f"{one.test:16} {one.figure:26} statistic {_show(one.statistic)}  p {one.p_value:.4f}\n"
        for one in tests
    )


def _show(statistic: float | None) -> str:
    return f"{'infinite' if statistic is None else f'{statistic:.3f}':>8}"
