"""The evaluation report: figures as JSON, one line per image as CSV, and two pictures."""

import csv
import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ml.datasets import Dataset
from ml.evaluation.metrics import RESAMPLES, confusion_matrix
from ml.evaluation.plots import plot_confusion, plot_roc
from ml.evaluation.scoring import Answers, collect_answers, score_answers
from ml.evaluation.thumbnails import score_thumbnails
from ml.manifest import Metric
from ml.predictor import Predictor
from ml.task_config import TaskConfig

REPORT = "evaluation.json"
PREDICTIONS = "predictions.csv"
CONFUSION = "confusion.png"
ROC = "roc.png"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found: figures, the baseline's figures, and what each kind of image was called."""

    split: str
    metrics: dict[str, Metric]
    baseline: dict[str, float]
    by_source: dict[str, dict[str, int]]
    refusals: dict[str, int]


def evaluate_bundle(
    predictor: Predictor,
    config: TaskConfig,
    dataset: Dataset,
    out: Path,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Score the bundle on a split and write the report into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    manifest, examples = predictor.bundle.manifest, dataset.of_split(split)
    answers = collect_answers(predictor, examples)
    evaluation = Evaluation(
        split=split,
        metrics=score_answers(answers, manifest, config.decision, resamples=resamples),
        baseline=score_thumbnails(dataset.of_split("train"), examples, config),
        by_source=_count_by_source(answers, manifest.labels),
        refusals=dict(sorted(Counter(code for code in answers.refusals if code).items())),
    )
    (out / REPORT).write_text(json.dumps(dataclasses.asdict(evaluation), indent=2) + "\n")
    _write_predictions(answers, manifest.labels, out / PREDICTIONS)
    matrix = confusion_matrix(answers.targets, answers.given, labels=len(manifest.labels))
    plot_confusion(matrix, manifest.labels, out / CONFUSION)
    plot_roc(answers.probabilities, answers.targets, manifest.labels, out / ROC)
    return evaluation


def _count_by_source(answers: Answers, labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """For every `source/label of the set`, how often each label was given."""
    counts: dict[str, dict[str, int]] = {}
    for example, given in zip(answers.examples, answers.given, strict=True):
        cell = counts.setdefault(f"{example.source}/{example.set_label}", dict.fromkeys(labels, 0))
        cell[labels[given]] += 1
    return dict(sorted(counts.items()))


def _write_predictions(answers: Answers, labels: tuple[str, ...], path: Path) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "group", "label", "given", *labels, "distance", "refusal"))
        for row, example in enumerate(answers.examples):
            writer.writerow(
                (
                    example.name,
                    example.group,
                    example.label,
                    labels[answers.given[row]],
                    *(f"{value:.5f}" for value in answers.probabilities[row]),
                    f"{answers.distances[row]:.3f}",
                    answers.refusals[row],
                )
            )
