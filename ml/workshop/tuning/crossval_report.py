"""The figures of a cross-validation, pooled and by fold, and the files they are written to."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.manifest import Metric
from ml.workshop.datasets import SPLITS
from ml.workshop.evaluation.crossval_record import NETWORK
from ml.workshop.evaluation.exact import Basis, list_call_bases, list_ranking_bases
from ml.workshop.evaluation.metrics import RESAMPLES, Rows, bootstrap, macro_auc, score_labels
from ml.workshop.task_config import TaskConfig
from ml.workshop.tuning.crossval import Answers
from ml.workshop.tuning.crossval_series import score_whole_series
from ml.workshop.tuning.fitting import write_json

FIGURES = "crossval.json"
PAGE = "crossval.md"
PREDICTIONS = "oof_predictions.csv"
ENSEMBLE = "ensemble of seeds"
DECIDED = "network at its thresholds"

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the folds (and seeds): mean, standard deviation (n - 1), and each value."""

    mean: float
    sd: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures, by method (`network`, each baseline, …) and name.

    `pooled` scores all held-out rows together; `differences` are the network's less a baseline's,
    on the same resampled groups. Intervals are 95 %.
    """

    pooled: dict[str, dict[str, Metric]]
    folds: dict[str, dict[str, Spread]]
    differences: dict[str, dict[str, Metric]]


def summarise(
    config: TaskConfig, answers: Answers, *, has_ensemble: bool, resamples: int = RESAMPLES
) -> Summary:
    """Score the methods on the same rows. With several seeds a figure is their mean."""
    methods = _list_methods(answers, has_ensemble=has_ensemble)
    labels, groups = config.data.labels, [example.group for example in answers.examples]

    def score(name: str, rows: Rows) -> dict[str, float]:
        return _score(methods[name], answers.targets, rows, labels)

    def score_gain(name: str, rows: Rows) -> dict[str, float]:
        return _subtract(score(NETWORK, rows), score(name, rows))

    def score_decided(rows: Rows) -> dict[str, float]:
        return _score_given(answers.given, answers.targets, rows, labels)

    bases = _list_bases(answers.targets, labels)
    pooled = {
        name: bootstrap(partial(score, name), groups, resamples=resamples, bases=bases)
        for name in methods
    }
    pooled[DECIDED] = bootstrap(score_decided, groups, resamples=resamples, bases=bases)
    differences = {
        name: bootstrap(partial(score_gain, name), groups, resamples=resamples)
        for name in methods
        if name != NETWORK
    }
    whole, gains = score_whole_series(
        config, answers, methods, reference=NETWORK, resamples=resamples
    )
    for found, more in ((pooled, whole), (differences, gains)):
        for name, figures in more.items():
            found[name] |= figures
    folds = {name: _spread_folds(answers, scores, labels) for name, scores in methods.items()}
    return Summary(pooled=pooled, folds=folds, differences=differences)


def _list_bases(targets: NDArray[np.int64], labels: Sequence[str]) -> dict[str, Basis]:
    """What each figure rests on; with several seeds an image is neither right nor wrong."""
    calls = list_call_bases(targets, targets, labels) | list_ranking_bases(targets, labels)
    return {name: dataclasses.replace(basis, hits=None) for name, basis in calls.items()}


def _list_methods(answers: Answers, *, has_ensemble: bool) -> dict[str, Scores]:
    """Each method's probabilities as seeds x N x K; a baseline has one seed."""
    methods = {NETWORK: answers.probabilities}
    if has_ensemble:
        methods[ENSEMBLE] = answers.probabilities.mean(axis=0, keepdims=True)
    return methods | {name: scores[None] for name, scores in answers.baselines.items()}


def _score(
    scores: Scores, targets: NDArray[np.int64], rows: Rows, labels: Sequence[str]
) -> dict[str, float]:
    """Figures of the most probable label, and the macro AUC, mean over the seeds."""
    truth = targets[rows]
    found = _score_given(scores.argmax(axis=2), targets, rows, labels)
    found["macro_auc"] = float(np.mean([macro_auc(one[rows], truth) for one in scores]))
    return found


def _score_given(
    given: NDArray[np.int64], targets: NDArray[np.int64], rows: Rows, labels: Sequence[str]
) -> dict[str, float]:
    """Accuracy, balanced accuracy and each recall of the given labels, mean over the seeds."""
    each = [score_labels(targets[rows], one[rows], labels) for one in given]
    kept = ("accuracy", "balanced_accuracy", *(f"recall.{label}" for label in labels))
    return {name: float(np.mean([figures[name] for figures in each])) for name in kept}


def _subtract(network: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: value - other[name] for name, value in network.items()}


def _spread_folds(answers: Answers, scores: Scores, labels: Sequence[str]) -> dict[str, Spread]:
    """Each fold's figures for each seed, and how far they lie apart."""
    each = [
        _score(one[None], answers.targets, np.flatnonzero(answers.folds == fold), labels)
        for one in scores
        for fold in np.unique(answers.folds)
    ]
    spreads: dict[str, Spread] = {}
    for name in each[0]:
        values = np.array([figures[name] for figures in each])
        known = values[~np.isnan(values)]
        if known.size:
            deviation = float(known.std(ddof=1)) if known.size > 1 else 0.0
            spreads[name] = Spread(float(known.mean()), deviation, tuple(known.tolist()))
    return spreads


def write_summary(
    config: TaskConfig,
    answers: Answers,
    summary: Summary,
    folder: Path,
    *,
    notes: Sequence[str],
    choices: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write the figures as JSON and Markdown and one line per row as CSV; returns the page.

    The JSON holds what a record needs (`ml.workshop.evaluation.crossval_record`) and nothing of
    this machine; `choices` are the overrides of the task file.
    """
    content: dict[str, Any] = dataclasses.asdict(summary)
    content["task"] = config.task
    content["recipe"] = config.digest
    content["choices"] = {name: json.dumps(value) for name, value in choices.items()}
    content["splits"] = sorted({row.split for row in answers.examples}, key=SPLITS.index)
    content["count"] = len(np.unique(answers.folds))
    content["images"] = len(answers.examples)
    content["groups"] = len({example.group for example in answers.examples})
    content["seeds"] = answers.seeds
    content["notes"] = list(notes)
    content["runs"] = [{name: getattr(run, name) for name in _RUN_FIELDS} for run in answers.runs]
    write_json(folder / FIGURES, content)
    _write_predictions(config, answers, folder / PREDICTIONS)
    (folder / PAGE).write_text(_render(config, answers, summary, notes))
    return folder / PAGE


_RUN_FIELDS = (
    "fold",
    "seed",
    "overrides",
    "best_epoch",
    "epochs",
    "seconds",
    "temperature",
    "thresholds",
)


def _write_predictions(config: TaskConfig, answers: Answers, path: Path) -> None:
    """One line per row: mean probabilities over the seeds, and the label each seed gave."""
    labels = config.data.labels
    mean = answers.probabilities.mean(axis=0)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        given = [f"given.seed-{seed}" for seed in answers.seeds]
        baselines = [f"{name}.{label}" for name in answers.baselines for label in labels]
        writer.writerow(("path", "group", "label", "fold", *labels, *given, *baselines))
        for row, example in enumerate(answers.examples):
            others = [value for scores in answers.baselines.values() for value in scores[row]]
            writer.writerow(
                (
                    example.name,
                    example.group,
                    example.label,
                    answers.folds[row],
                    *(f"{value:.5f}" for value in mean[row]),
                    *(labels[one[row]] for one in answers.given),
                    *(f"{value:.5f}" for value in others),
                )
            )


def _render(config: TaskConfig, answers: Answers, summary: Summary, notes: Sequence[str]) -> str:
    folds, groups = len(np.unique(answers.folds)), {one.group for one in answers.examples}
    parts = [
        f"# Cross-validation of {config.title}",
        f"{len(answers.examples)} images of {len(groups)} groups in {folds} folds; groups never "
        f"cross them. Seeds {', '.join(map(str, answers.seeds))}. In each fold the epoch, the "
        "temperature and the thresholds were chosen on groups of its training rows.",
        "\n".join(f"- {note}" for note in notes),
        "## All held-out images together",
        "95 % intervals from resampling whole groups. They hold for these networks on more "
        "patients like these; they leave out what another division into folds would change.",
        _table_metrics(summary.pooled),
        "## Mean and standard deviation over folds and seeds",
        _table_spreads(summary.folds),
    ]
    if summary.differences:
        parts += [
            "## The network less the others",
            "Paired: both are scored on the same resampled groups. An interval that holds 0 shows "
            "no difference.",
            _table_metrics(summary.differences, sign="+"),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table_metrics(methods: Mapping[str, Mapping[str, Metric]], *, sign: str = "") -> str:
    def show(metric: Metric | None) -> str:
        if metric is None:
            return "–"
        low, high = (f"{value:{sign}.3f}" for value in (metric.low, metric.high))
        return f"{metric.value:{sign}.3f} ({low} to {high})"

    return _table(methods, show)


def _table_spreads(methods: Mapping[str, Mapping[str, Spread]]) -> str:
    return _table(methods, lambda one: f"{one.mean:.3f} ± {one.sd:.3f}" if one else "–")


def _table(methods: Mapping[str, Mapping[str, Any]], show: Any) -> str:
    """One line per figure, one column per method."""
    names = list(dict.fromkeys(name for figures in methods.values() for name in figures))
    lines = [f"| figure | {' | '.join(methods)} |", f"| --- |{' --- |' * len(methods)}"]
    for name in names:
        cells = (show(figures.get(name)) for figures in methods.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
