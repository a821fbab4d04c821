"""Runs a predictor over labelled examples and scores its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.datasets import Example
from ml.evaluation.metrics import (
    Rows,
    bootstrap,
    calibration_error,
    macro_auc,
    roc_auc,
    score_labels,
)
from ml.images import read_frames
from ml.manifest import Manifest, Metric
from ml.predictor import Predictor
from ml.task_config import DecisionConfig

# Images decoded at once.
CHUNK = 64


@dataclass(frozen=True, slots=True)
class Answers:
    """What a bundle said about the examples: arrays with one row for each, in their order."""

    examples: tuple[Example, ...]
    probabilities: NDArray[np.float64]
    given: NDArray[np.int64]
    targets: NDArray[np.int64]
    distances: NDArray[np.float64]
    refusals: tuple[str, ...]


def collect_answers(predictor: Predictor, examples: Sequence[Example]) -> Answers:
    """Predict every example as a user would; `refusals` holds the abstention's code or ''."""
    labels = predictor.bundle.labels
    rows, given, distances, refusals = [], [], [], []
    for start in range(0, len(examples), CHUNK):
        frames = [read_frames(example.path)[0] for example in examples[start : start + CHUNK]]
        for prediction in predictor.predict(frames):
            rows.append([prediction.probabilities[label] for label in labels])
            given.append(labels.index(predictor.conclude([prediction]).label))
            distances.append(prediction.distance)
            refusals.append(prediction.abstention.code if prediction.abstention else "")
    return Answers(
        examples=tuple(examples),
        probabilities=np.array(rows),
        given=np.array(given),
        targets=np.array([labels.index(example.label) for example in examples]),
        distances=np.array(distances),
        refusals=tuple(refusals),
    )


def score_answers(
    answers: Answers, manifest: Manifest, decision: DecisionConfig, *, resamples: int
) -> dict[str, Metric]:
    """All figures with intervals. Refused images are scored too: their share is a figure itself.

    The headline figures are those of one disease against normal within one source.
    """
    labels = manifest.labels

    def score_all(rows: Rows) -> dict[str, float]:
        shown, truth = answers.probabilities[rows], answers.targets[rows]
        is_refused = np.array([bool(answers.refusals[row]) for row in rows])
        return {
            **score_labels(truth, answers.given[rows], labels),
            "macro_auc": macro_auc(shown, truth),
            "calibration_error": calibration_error(shown, truth),
            "refused": float(is_refused.mean()),
        }

    metrics = bootstrap(score_all, _groups(answers.examples), resamples=resamples)
    return metrics | _score_headline(answers, manifest, decision, resamples=resamples)


def _score_headline(
    answers: Answers, manifest: Manifest, decision: DecisionConfig, *, resamples: int
) -> dict[str, Metric]:
    disease = manifest.labels.index(decision.headline_label)
    normal = manifest.labels.index(manifest.normal_label)
    kept = np.flatnonzero(
        [example.source == decision.headline_source for example in answers.examples]
        & np.isin(answers.targets, (disease, normal))
    )
    if not kept.size:
        return {}

    def score(rows: Rows) -> dict[str, float]:
        picked = kept[rows]
        is_diseased = answers.targets[picked] == disease
        if is_diseased.all() or not is_diseased.any():
            return {"auc": np.nan, "sensitivity": np.nan, "specificity": np.nan}
        given = answers.given[picked]
        return {
            "auc": roc_auc(answers.probabilities[picked, disease], is_diseased),
            "sensitivity": float((given[is_diseased] == disease).mean()),
            "specificity": float((given[~is_diseased] == normal).mean()),
        }

    groups = _groups([answers.examples[row] for row in kept])
    found = bootstrap(score, groups, resamples=resamples)
    prefix = f"{decision.headline_source}.{decision.headline_label}"
    return {f"{prefix}.{name}": metric for name, metric in found.items()}


def _groups(examples: Sequence[Example]) -> list[str]:
    return [example.group for example in examples]
