"""A bundle on images of other places: what it says to them, and how much worse that is."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.confidence import HIGH
from ml.manifest import ExternalFigures, Manifest, Metric
from ml.predictor import Predictor
from ml.workshop.datasets import Dataset, Example, ExternalSource
from ml.workshop.evaluation.exact import Basis, subtract
from ml.workshop.evaluation.metrics import (
    Draws,
    Weights,
    bootstrap_weights,
    weigh_auc,
    weigh_basis,
    weigh_calibration,
)
from ml.workshop.evaluation.scoring import Answers, collect_answers
from ml.workshop.figure_names import LESS_IS_BETTER

PREDICTIONS = "external_predictions.csv"
REFUSED, LEFT_OPEN = "refused", "left open"
FIRST_COLUMNS = ("source", "path", "group", "set_label", "said", "confidence", "refusal")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Area:
    """Whom an AUC tells apart, and by which score."""

    positives: Mask
    negatives: Mask
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Truth:
    """Answers with what is right for each: `accepted` is N x K, one column for each label."""

    answers: Answers
    accepted: Mask
    manifest: Manifest

    @property
    def normal(self) -> int:
        """The column of the normal label."""
        return self.manifest.labels.index(self.manifest.normal_label)

    @property
    def is_asked(self) -> Mask:
        """Images for which some label is right."""
        return np.asarray(self.accepted.any(axis=1), bool)

    @property
    def is_diseased(self) -> Mask:
        """Images for which every right label is a disease."""
        return np.asarray(self.is_asked & ~self.accepted[:, self.normal], bool)

    @property
    def is_normal(self) -> Mask:
        """Images for which the normal label alone is right."""
        return np.asarray(self.accepted[:, self.normal] & (self.accepted.sum(axis=1) == 1), bool)

    @property
    def given(self) -> NDArray[np.int64]:
        """The label shown, or -1 where the image is refused or the answer left open."""
        labels = self.manifest.labels
        said = zip(self.answers.said, self.answers.refusals, strict=True)
        return np.array(
            [labels.index(one.label) if one.label and not code else -1 for one, code in said],
            np.int64,
        )


def score_sources(
    predictor: Predictor,
    sources: Sequence[ExternalSource],
    own: Answers,
    dataset: Dataset,
    out: Path,
    *,
    resamples: int,
) -> dict[str, ExternalFigures]:
    """Predict every source's images as a user would, and score them beside the own ones.

    `dataset` is what was learned from. Writes each answer into `external_predictions.csv` of the
    folder `out`; nothing without sources.
    """
    learned = {row.source for row in (*dataset.of_split("train"), *dataset.of_split("val"))}
    found, rows = {}, []
    bundle = predictor.bundle
    for source in sources:
        answers = _answer_source(predictor, source)
        truth = Truth(answers, _read_truth(source, bundle.labels), bundle.manifest)
        rows += _list_rows(source.name, truth)
        found[source.name] = _score_source(
            source, truth, own, is_learned=source.name in learned, resamples=resamples
        )
    if rows:
        with (out / PREDICTIONS).open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow((*FIRST_COLUMNS, *predictor.bundle.labels))
            writer.writerows(rows)
    return found


def _answer_source(predictor: Predictor, source: ExternalSource) -> Answers:
    """The answers; `label` becomes a label of the task, which only `Truth` knows to be right."""
    stand_in = predictor.bundle.labels[0]
    return collect_answers(
        predictor, [dataclasses.replace(row, label=stand_in) for row in source.examples]
    )


def _read_truth(source: ExternalSource, labels: Sequence[str]) -> Mask:
    return np.array(
        [
            [label in source.accepted[example.set_label] for label in labels]
            for example in source.examples
        ],
        bool,
    )


def _score_source(
    source: ExternalSource, truth: Truth, own: Answers, *, is_learned: bool, resamples: int
) -> ExternalFigures:
    metrics = score_truth(truth, resamples=resamples)
    beside = _score_own(source, own, truth.manifest, resamples=resamples)
    return ExternalFigures(
        table=source.table,
        data_sha256=source.digest,
        images=len(source.examples),
        groups=len({example.group for example in source.examples}),
        is_learned=is_learned,
        said=_count_said(truth),
        refusals=dict(sorted(Counter(filter(None, truth.answers.refusals)).items())),
        metrics=metrics,
        own=beside,
        drops={
            name: _measure_drop(name, beside[name], metrics[name])
            for name in metrics
            if name in beside
        },
        left_out=dict(Counter(reason for _, reason in source.left_out).most_common()),
    )


def _score_own(
    source: ExternalSource, own: Answers, manifest: Manifest, *, resamples: int
) -> dict[str, Metric]:
    """The same figures of the own images of the labels that the source asks for."""
    right: dict[str, set[str]] = {}
    for together in source.accepted.values():
        for label in together:
            right.setdefault(label, set()).update(together)
    labels = manifest.labels
    rows = [row for row, target in enumerate(own.targets) if labels[target] in right]
    if not rows or not own.said:
        return {}
    part = _pick(own, rows)
    accepted = np.array(
        [[label in right[labels[target]] for label in labels] for target in part.targets], bool
    )
    return score_truth(Truth(part, accepted, manifest), resamples=resamples)


def _pick(answers: Answers, rows: Sequence[int]) -> Answers:
    return Answers(
        examples=tuple(answers.examples[row] for row in rows),
        probabilities=answers.probabilities[rows],
        given=answers.given[rows],
        targets=answers.targets[rows],
        distances=answers.distances[rows],
        refusals=tuple(answers.refusals[row] for row in rows),
        said=tuple(answers.said[row] for row in rows),
    )


def _measure_drop(name: str, own: Metric, foreign: Metric) -> Metric:
    is_less_better = name.split(".")[0] in LESS_IS_BETTER
    return subtract(foreign, own) if is_less_better else subtract(own, foreign)


def score_truth(truth: Truth, *, resamples: int) -> dict[str, Metric]:
    """Every figure that some image asks for, with its interval over whole groups."""
    shares, areas = _list_shares(truth), _list_areas(truth)
    shown, accepted = truth.answers.probabilities, truth.accepted
    is_told = truth.is_asked & ~truth.answers.is_refused
    # The most probable label stands for a right one wherever it is one of several.
    likeliest = shown.argmax(axis=1)
    is_right = accepted[np.arange(len(likeliest)), likeliest]
    targets = np.where(is_right, likeliest, -1)

    def score(weights: Weights) -> Mapping[str, Draws]:
        found = {name: weigh_basis(weights, one) for name, one in shares.items()}
        for name, area in areas.items():
            kept = np.flatnonzero(area.positives | area.negatives)
            scores, positives = area.scores[kept], area.positives[kept]
            found[name] = weigh_auc(weights[:, kept], scores, positives)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["calibration_error"] = weigh_calibration(weights * is_told, shown, targets)
        return found

    bases = shares | {name: Basis((area.positives, area.negatives)) for name, area in areas.items()}
    bases["calibration_error"] = Basis((is_told,), has_exact=False)
    return bootstrap_weights(score, truth.answers.groups, resamples=resamples, bases=bases)


def _list_shares(truth: Truth) -> dict[str, Basis]:
    """The shares by name; `docs/data-scientists.md` says each in words."""
    answers, given, labels = truth.answers, truth.given, truth.manifest.labels
    everything, is_refused = np.ones(len(given), bool), answers.is_refused
    is_told, has_label = ~is_refused, given >= 0
    is_cleared = given == truth.normal
    is_high = np.array([one.confidence == HIGH for one in answers.said], bool)
    rows = np.arange(len(given))
    likeliest = answers.probabilities.argmax(axis=1)
    shares = {
        "sensitivity": Basis((truth.is_diseased & is_told,), ~is_cleared),
        "specificity": Basis((truth.is_normal & is_told,), is_cleared),
        "accuracy": Basis((has_label,), truth.accepted[rows, given]),
        "argmax_accuracy": Basis((truth.is_asked & is_told,), truth.accepted[rows, likeliest]),
        "refused": Basis((everything,), is_refused),
        "left_open": Basis((everything,), ~has_label & is_told),
        "missed": Basis((truth.is_diseased,), is_cleared),
        "missed_high": Basis((truth.is_diseased,), is_cleared & is_high),
        "withheld": Basis((~truth.is_asked,), ~has_label),
    }
    for column, label in enumerate(labels):
        if column != truth.normal:
            is_given = given == column
            shares[f"called.{label}"] = Basis((~truth.accepted[:, column],), is_given)
            shares[f"recall.{label}"] = Basis((_is_only(truth, column) & is_told,), is_given)
    return shares


def _list_areas(truth: Truth) -> dict[str, Area]:
    """Any disease against normal, and each label against those that it is wrong for."""
    shown = truth.answers.probabilities
    areas = {"auc": Area(truth.is_diseased, truth.is_normal, 1 - shown[:, truth.normal])}
    for column, label in enumerate(truth.manifest.labels):
        is_other = truth.is_asked & ~truth.accepted[:, column]
        areas[f"auc.{label}"] = Area(_is_only(truth, column), is_other, shown[:, column])
    return areas


def _is_only(truth: Truth, column: int) -> Mask:
    is_single = truth.accepted.sum(axis=1) == 1
    return np.asarray(truth.accepted[:, column] & is_single, bool)


def _count_said(truth: Truth) -> dict[str, dict[str, int]]:
    """For each label of the set, how often which label was given, or none."""
    counts: dict[str, dict[str, int]] = {}
    empty = dict.fromkeys((*truth.manifest.labels, LEFT_OPEN, REFUSED), 0)
    for example, said in zip(truth.answers.examples, _list_said(truth), strict=True):
        counts.setdefault(example.set_label, dict(empty))[said] += 1
    return dict(sorted(counts.items()))


def _list_said(truth: Truth) -> list[str]:
    answers = truth.answers
    return [
        REFUSED if code else one.label or LEFT_OPEN
        for one, code in zip(answers.said, answers.refusals, strict=True)
    ]


def _list_rows(source: str, truth: Truth) -> list[tuple[str, ...]]:
    answers = truth.answers
    said = _list_said(truth)

    def describe(row: int, example: Example) -> tuple[str, ...]:
        return (
            *(source, example.name, example.group, example.set_label, said[row]),
            *(answers.said[row].confidence, answers.refusals[row]),
            *(f"{value:.5f}" for value in answers.probabilities[row]),
        )

    return [describe(row, example) for row, example in enumerate(answers.examples)]
