"""Runs a predictor over labelled examples and scores its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml.aggregation import Outcome, aggregate
from ml.explanation.body import find_body
from ml.explanation.evidence import keep_on_body
from ml.images import read_frames, to_display
from ml.manifest import Manifest, Metric
from ml.predictor import Predictor
from ml.workshop.datasets import Example, index_labels
from ml.workshop.evaluation.exact import (
    Basis,
    list_call_bases,
    list_ranking_bases,
    narrow_bases,
    rename_bases,
)
from ml.workshop.evaluation.metrics import (
    Draws,
    Rows,
    Weights,
    bootstrap_weights,
    mean_known,
    score_matrices,
    weigh_auc,
    weigh_average_precision,
    weigh_basis,
    weigh_brier,
    weigh_calibration,
    weigh_share,
)
from ml.workshop.figure_names import (
    FLAGGED,
    HEADLINE_CALLS,
    LABEL_ACCURACY,
    PRECISION,
    REFUSED_BY_LABEL,
    RIGHT,
    name_headline,
)
from ml.workshop.progress import Progress
from ml.workshop.task_config import DecisionConfig

# Images decoded at once.
CHUNK = 64
WeightedScore = Callable[[Weights], Mapping[str, Draws]]


@dataclass(frozen=True, slots=True)
class Said:
    """What is shown of an image that isn't refused: the outcome, the label given, and how sure."""

    outcome: Outcome
    label: str | None
    confidence: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What a bundle said about the examples: arrays with one row for each, in their order.

    `given` is the label at the operating thresholds, also where the product leaves it open
    (`StudyPrediction.label_at_thresholds`); `refusals` is the abstention's code or ''. `said` is
    empty where the answers were read from a table. `maps` are the heat maps as they are shown
    (N x K x h x w), if they were asked for.
    """

    examples: tuple[Example, ...]
    probabilities: NDArray[np.float64]
    given: NDArray[np.int64]
    targets: NDArray[np.int64]
    distances: NDArray[np.float64]
    refusals: tuple[str, ...]
    said: tuple[Said, ...] = ()
    maps: NDArray[np.float32] | None = None

    @property
    def groups(self) -> list[str]:
        """The group of each example."""
        return [example.group for example in self.examples]

    @property
    def is_refused(self) -> NDArray[np.bool_]:
        """Which examples the bundle would not have answered."""
        return np.array([bool(code) for code in self.refusals], bool)


def collect_answers(
    predictor: Predictor, examples: Sequence[Example], *, has_maps: bool = False
) -> Answers:
    """Predict every example as a user would, with heat maps if asked for; shows progress."""
    labels = predictor.bundle.labels
    rows, said, given, distances, refusals, maps = [], [], [], [], [], []
    with Progress(len(examples), "predicting", unit="image") as bar:
        for start in range(0, len(examples), CHUNK):
            part = examples[start : start + CHUNK]
            frames = [read_frames(row.path)[0] for row in part]
            for frame, prediction in zip(frames, predictor.predict(frames), strict=True):
                rows.append([prediction.probabilities[label] for label in labels])
                study = predictor.conclude([prediction])
                said.append(Said(study.outcome, study.label, study.confidence))
                given.append(labels.index(study.label_at_thresholds))
                distances.append(prediction.distance)
                refusals.append(prediction.abstention.code if prediction.abstention else "")
                if has_maps:
                    grids = np.stack([prediction.activation_maps[label] for label in labels])
                    maps.append(keep_on_body(grids, find_body(to_display(frame))))
            bar.advance(len(part))
    return Answers(
        examples=tuple(examples),
        probabilities=np.array(rows),
        given=np.array(given),
        targets=index_labels(examples, labels),
        distances=np.array(distances),
        refusals=tuple(refusals),
        said=tuple(said),
        maps=np.array(maps, np.float32) if has_maps else None,
    )


def score_answers(
    answers: Answers, manifest: Manifest, decision: DecisionConfig, *, resamples: int
) -> dict[str, Metric]:
    """All figures with intervals. Refused images are scored too: their share is a figure itself.

    Plain names are at the operating thresholds, `argmax_` ones take the most probable label,
    `shown.` ones are of what people are told (`score_shown`), and
    the headline figures are those of one disease against normal within one source.
    """
    score, bases = make_score(answers, manifest.labels), _list_bases(answers, manifest.labels)
    metrics = bootstrap_weights(score, answers.groups, resamples=resamples, bases=bases)
    metrics |= score_shown(answers, manifest, resamples=resamples)
    return metrics | _score_headline(answers, manifest, decision, resamples=resamples)


def score_shown(answers: Answers, manifest: Manifest, *, resamples: int) -> dict[str, Metric]:
    """Figures of what people are told, with intervals; refused images are left out.

    The share of answers that flag a disease without calling it the likeliest, the share of
    findings that are right, that of given labels, and that of the labels called by each word of
    confidence. `images` are those that a figure is about. Nothing of answers read from a table.
    """
    if not answers.said:
        return {}
    labels, shown = manifest.labels, answers.said
    is_answered = ~answers.is_refused
    is_given = is_answered & np.array([one.label is not None for one in shown], bool)
    is_right = np.array(
        [labels[row] == one.label for one, row in zip(shown, answers.targets, strict=True)], bool
    )
    is_flagged = np.array([one.outcome == Outcome.FLAGGED for one in shown], bool)
    is_finding = np.array([one.outcome == Outcome.FINDING for one in shown], bool)
    words = np.array([one.confidence for one in shown])
    bases = {
        FLAGGED: Basis((is_answered,), is_flagged),
        PRECISION: Basis((is_answered & is_finding,), is_right),
        LABEL_ACCURACY: Basis((is_given,), is_right),
        **{name: Basis((is_given & (words == word),), is_right) for word, name in RIGHT.items()},
    }

    def score(weights: Weights) -> dict[str, Draws]:
        return {name: weigh_basis(weights, basis) for name, basis in bases.items()}

    found = bootstrap_weights(score, answers.groups, resamples=resamples, bases=bases)
    return {name: replace(metric, images=metric.asked) for name, metric in found.items()}


def _list_bases(answers: Answers, labels: Sequence[str]) -> dict[str, Basis]:
    """What the figures of `make_score` rest on."""
    targets, likeliest = answers.targets, answers.probabilities.argmax(axis=1)
    given = list_call_bases(targets, answers.given, labels)
    everything = np.ones(len(targets), bool)
    whole = ("accuracy", "balanced_accuracy")
    return {
        **given,
        **list_ranking_bases(targets, labels),
        **dict.fromkeys(("calibration_error", "brier"), Basis((everything,), has_exact=False)),
        "refused": Basis((everything,), answers.is_refused),
        **{
            f"{REFUSED_BY_LABEL}{label}": Basis((targets == row,), answers.is_refused)
            for row, label in enumerate(labels)
        },
        **rename_bases(narrow_bases(given, whole, ~answers.is_refused), "answered_"),
        **rename_bases(list_call_bases(targets, likeliest, labels), "argmax_"),
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
            **{
                f"{REFUSED_BY_LABEL}{label}": weigh_share(weights * (targets == row), is_refused)
                for row, label in enumerate(labels)
            },
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

    An empty source means all of them, and without a normal label every other one counts. No row
    where the task has no such question.
    """
    if not decision.headline_label:
        return np.array([], np.intp)
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
    bases = _list_headline_bases(answers, kept, manifest, decision)
    return bootstrap_weights(score, groups, resamples=resamples, bases=bases)


def _list_headline_bases(
    answers: Answers, kept: Rows, manifest: Manifest, decision: DecisionConfig
) -> dict[str, Basis]:
    disease = manifest.labels.index(decision.headline_label)
    is_diseased = answers.targets[kept] == disease
    headline = name_headline(decision)
    bases = {f"{headline}.auc": Basis((is_diseased, ~is_diseased))}
    calls = {"": answers.given[kept], "argmax_": answers.probabilities[kept].argmax(axis=1)}
    sides = (np.ones(len(kept), bool), is_diseased, ~is_diseased)
    for prefix, given in calls.items():
        is_right = _judge_headline(
            is_diseased, given, disease, manifest.labels, manifest.normal_label
        )
        for name, side in zip(HEADLINE_CALLS, sides, strict=True):
            bases[f"{headline}.{prefix}{name}"] = Basis((side,), is_right)
    return bases


def _judge_headline(
    is_diseased: NDArray[np.bool_],
    given: NDArray[np.int64],
    disease: int,
    labels: Sequence[str],
    normal_label: str,
) -> NDArray[np.bool_]:
    """Which images the headline question is answered rightly for."""
    is_cleared = given != disease
    if normal_label in labels:
        is_cleared = given == labels.index(normal_label)
    return np.asarray(np.where(is_diseased, given == disease, is_cleared), bool)


def make_headline_score(
    answers: Answers, labels: Sequence[str], normal_label: str, decision: DecisionConfig
) -> tuple[Rows, WeightedScore | None]:
    """The rows that the headline question is put to, and its figures by their weights.

    None instead of the function where those rows don't hold both sides of the question.
    """
    kept = headline_rows(answers.examples, labels, normal_label, decision)
    if not kept.size:
        return kept, None
    disease = labels.index(decision.headline_label)
    is_diseased = answers.targets[kept] == disease
    if is_diseased.all() or not is_diseased.any():
        return kept, None
    shown = answers.probabilities[kept]
    calls = {"": answers.given[kept], "argmax_": shown.argmax(axis=1)}
    headline = name_headline(decision)

    def score(weights: Weights) -> dict[str, Draws]:
        found = {f"{headline}.auc": weigh_auc(weights, shown[:, disease], is_diseased)}
        for prefix, given in calls.items():
            is_right = _judge_headline(is_diseased, given, disease, labels, normal_label)
            counted = (weights, weights * is_diseased, weights * ~is_diseased)
            for name, among in zip(HEADLINE_CALLS, counted, strict=True):
                found[f"{headline}.{prefix}{name}"] = weigh_share(among, is_right)
        return found

    return kept, score
