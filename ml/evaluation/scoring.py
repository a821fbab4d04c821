"""Runs a predictor over labelled examples and scores its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.aggregation import aggregate
from ml.datasets import Example, index_labels
from ml.evaluation.metrics import (
    Draws,
    Rows,
    Weights,
    bootstrap_weights,
    mean_known,
    score_matrices,
    weigh_auc,
    weigh_average_precision,
    weigh_brier,
    weigh_calibration,
    weigh_share,
)
from ml.images import read_frames
from ml.manifest import Manifest, Metric
from ml.predictor import Predictor
from ml.task_config import DecisionConfig

# Images decoded at once.
CHUNK = 64
# What the headline figures are called when they come from every source.
ALL_SOURCES = "all"
HEADLINE_CALLS = ("accuracy", "sensitivity", "specificity")
WeightedScore = Callable[[Weights], Mapping[str, Draws]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a bundle said about the examples: arrays with one row for each, in their order.

    `given` is the label at the operating thresholds, also where the product leaves it open
    (`StudyPrediction.label_at_thresholds`); `refusals` is the abstention's code or ''.
    """

    examples: tuple[Example, ...]
    probabilities: NDArray[np.float64]
    given: NDArray[np.int64]
    targets: NDArray[np.int64]
    distances: NDArray[np.float64]
    refusals: tuple[str, ...]

    @property
    def groups(self) -> list[str]:
        """The group of each example."""
        return [example.group for example in self.examples]

    @property
    def is_refused(self) -> NDArray[np.bool_]:
        """Which examples the bundle would not have answered."""
        return np.array([bool(code) for code in self.refusals], bool)


def collect_answers(predictor: Predictor, examples: Sequence[Example]) -> Answers:
    """Predict every example as a user would; shows progress on a terminal."""
    labels = predictor.bundle.labels
    rows, given, distances, refusals = [], [], [], []
    with tqdm(total=len(examples), desc="predicting", unit="image", disable=None) as bar:
        for start in range(0, len(examples), CHUNK):
            part = examples[start : start + CHUNK]
            for prediction in predictor.predict([read_frames(row.path)[0] for row in part]):
                rows.append([prediction.probabilities[label] for label in labels])
                given.append(labels.index(predictor.conclude([prediction]).label_at_thresholds))
                distances.append(prediction.distance)
                refusals.append(prediction.abstention.code if prediction.abstention else "")
            bar.update(len(part))
    return Answers(
        examples=tuple(examples),
        probabilities=np.array(rows),
        given=np.array(given),
        targets=index_labels(examples, labels),
        distances=np.array(distances),
        refusals=tuple(refusals),
    )


def score_answers(
    answers: Answers, manifest: Manifest, decision: DecisionConfig, *, resamples: int
) -> dict[str, Metric]:
    """All figures with intervals. Refused images are scored too: their share is a figure itself.

    Plain names are at the operating thresholds, `argmax_` ones take the most probable label, and
    the headline figures are those of one disease against normal within one source.
    """
    score = make_score(answers, manifest.labels)
    metrics = bootstrap_weights(score, answers.groups, resamples=resamples)
    return metrics | _score_headline(answers, manifest, decision, resamples=resamples)


def name_figures(labels: Sequence[str], decision: DecisionConfig) -> set[str]:
    """The names of the figures of `score_answers`: all of them, unless no image asks for one."""
    count = len(labels)
    headline = _name_headline(decision)
    calls = [f"{call}{name}" for call in ("", "argmax_") for name in HEADLINE_CALLS]
    return {
        *score_plainly(np.eye(count), np.arange(count), labels),
        *(f"{headline}.{name}" for name in ("auc", *calls)),
    }


def score_points(
    answers: Answers, labels: Sequence[str], normal_label: str, decision: DecisionConfig
) -> dict[str, float]:
    """The figures of `score_answers` without intervals, but those that no image asks for."""
    found = dict(make_score(answers, labels)(np.ones((1, len(answers.targets)))))
    kept, score = make_headline_score(answers, labels, normal_label, decision)
    if score is not None:
        found |= score(np.ones((1, len(kept))))
    return {name: float(values[0]) for name, values in found.items() if not np.isnan(values[0])}


def decide_labels(
    scores: NDArray[np.float64],
    labels: Sequence[str],
    normal_label: str,
    thresholds: Mapping[str, float],
) -> NDArray[np.int64]:
    """The label index at the thresholds for each row (N x K probabilities), doubtful ones too."""
    frames = (dict(zip(labels, map(float, row), strict=True)) for row in scores)
    decided = (
        aggregate("mean", [one], labels, normal_label, thresholds=thresholds) for one in frames
    )
    return np.array([labels.index(one.label_at_thresholds) for one in decided], np.int64)


def score_plainly(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, float]:
    """Every figure but the headline ones, of probabilities (N x K) and label indices (N) alone.

    Nothing is refused, and the most probable label is given.
    """
    count = len(targets)
    answers = Answers(
        examples=(),
        probabilities=probabilities,
        given=probabilities.argmax(axis=1),
        targets=targets,
        distances=np.zeros(count),
        refusals=("",) * count,
    )
    figures = make_score(answers, labels)(np.ones((1, count)))
    return {name: float(values[0]) for name, values in figures.items()}


def make_score(answers: Answers, labels: Sequence[str]) -> WeightedScore:
    """Every figure of the answers but the headline ones, as a function of image weights (B x N)."""
    shown, targets = answers.probabilities, answers.targets
    at_thresholds = _pair_labels(targets, answers.given, len(labels))
    at_argmax = _pair_labels(targets, shown.argmax(axis=1), len(labels))
    is_refused = answers.is_refused

    def score(weights: Weights) -> dict[str, Draws]:
        count = len(labels)
        matrices = (weights @ at_thresholds).reshape(-1, count, count)
        kept = (weights @ (at_thresholds * ~is_refused[:, None])).reshape(-1, count, count)
        answered = score_matrices(kept, labels)
        argmax = score_matrices((weights @ at_argmax).reshape(-1, count, count), labels)
        return {
            **score_matrices(matrices, labels),
            **_weigh_ranking(weights, shown, targets, labels),
            "calibration_error": weigh_calibration(weights, shown, targets),
            "brier": weigh_brier(weights, shown, targets),
            "refused": weigh_share(weights, is_refused),
            "answered_accuracy": answered["accuracy"],
            "answered_balanced_accuracy": answered["balanced_accuracy"],
            **{f"argmax_{name}": values for name, values in argmax.items()},
        }

    return score


def _pair_labels(
    targets: NDArray[np.int64], given: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """One row per image with a 1 at its cell of the flattened confusion matrix."""
    return np.asarray(np.eye(count * count)[targets * count + given])


def _weigh_ranking(
    weights: Weights,
    shown: NDArray[np.float64],
    targets: NDArray[np.int64],
    labels: Sequence[str],
) -> dict[str, Draws]:
    """AUC and average precision of each label against the rest, and their means."""
    scores: dict[str, Draws] = {}
    for name, weigh in (("auc", weigh_auc), ("average_precision", weigh_average_precision)):
        areas = np.stack(
            [weigh(weights, shown[:, row], targets == row) for row in range(len(labels))], axis=-1
        )
        scores[f"macro_{name}"] = mean_known(areas)
        scores |= {f"{name}.{label}": areas[:, row] for row, label in enumerate(labels)}
    return scores


def headline_rows(
    examples: Sequence[Example],
    labels: Sequence[str],
    normal_label: str,
    decision: DecisionConfig,
) -> Rows:
    """Rows that the headline question is put to: one disease and normal, within one source.

    An empty source means all of them, and without a normal label every other one counts.
    """
    asked = {decision.headline_label, normal_label} if normal_label in labels else set(labels)
    source = decision.headline_source
    return np.flatnonzero([row.label in asked and source in ("", row.source) for row in examples])


def _score_headline(
    answers: Answers, manifest: Manifest, decision: DecisionConfig, *, resamples: int
) -> dict[str, Metric]:
    kept, score = make_headline_score(answers, manifest.labels, manifest.normal_label, decision)
    if score is None:
        return {}
    groups = [answers.examples[row].group for row in kept]
    return bootstrap_weights(score, groups, resamples=resamples)


def make_headline_score(
    answers: Answers, labels: Sequence[str], normal_label: str, decision: DecisionConfig
) -> tuple[Rows, WeightedScore | None]:
    """The rows that the headline question is put to, and its figures by their weights.

    None instead of the function where those rows don't hold both sides of the question.
    """
    kept = headline_rows(answers.examples, labels, normal_label, decision)
    disease = labels.index(decision.headline_label)
    is_diseased = answers.targets[kept] == disease
    if not kept.size or is_diseased.all() or not is_diseased.any():
        return kept, None
    shown = answers.probabilities[kept]
    calls = {"": answers.given[kept], "argmax_": shown.argmax(axis=1)}
    headline = _name_headline(decision)

    def score(weights: Weights) -> dict[str, Draws]:
        found = {f"{headline}.auc": weigh_auc(weights, shown[:, disease], is_diseased)}
        for prefix, given in calls.items():
            is_cleared = given != disease
            if normal_label in labels:
                is_cleared = given == labels.index(normal_label)
            is_right = np.where(is_diseased, given == disease, is_cleared)
            counted = (weights, weights * is_diseased, weights * ~is_diseased)
            for name, among in zip(HEADLINE_CALLS, counted, strict=True):
                found[f"{headline}.{prefix}{name}"] = weigh_share(among, is_right)
        return found

    return kept, score


def _name_headline(decision: DecisionConfig) -> str:
    return f"{decision.headline_source or ALL_SOURCES}.{decision.headline_label}"
