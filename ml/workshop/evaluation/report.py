"""The evaluation of a bundle: figures as JSON, one line per image as CSV, and a page to read."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.predictor import Predictor
from ml.workshop.datasets import Dataset, ExternalSource
from ml.workshop.datasets.external import list_absent
from ml.workshop.datasets.masks import MaskedImage
from ml.workshop.evaluation.beside import (
    FROZEN,
    THUMBNAILS,
    Baselines,
    read_baselines,
    score_baselines,
    write_baselines,
)
from ml.workshop.evaluation.external import score_sources
from ml.workshop.evaluation.maps import measure_maps
from ml.workshop.evaluation.metrics import RESAMPLES, confusion_matrix
from ml.workshop.evaluation.openness import score_openness
from ml.workshop.evaluation.operating import judge_operating
from ml.workshop.evaluation.page import draw_pictures, render_page
from ml.workshop.evaluation.plots import plot_confusion, plot_roc
from ml.workshop.evaluation.predictions import write_predictions
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.evaluation.robustness import measure_robustness
from ml.workshop.evaluation.scoring import Answers, collect_answers, score_answers
from ml.workshop.evaluation.seeds import score_runs
from ml.workshop.evaluation.series import score_series_answers
from ml.workshop.evaluation.subgroups import score_subgroups
from ml.workshop.rejects.scoring import Share
from ml.workshop.task_config import DataConfig, TaskConfig

__all__ = ["PAGE", "PREDICTIONS", "REPORT", "Comparisons", "Evaluation", "evaluate_bundle"]

PAGE = "evaluation.html"
REPORT = "evaluation.json"
PREDICTIONS = "predictions.csv"
CONFUSION = "confusion.png"
ROC = "roc.png"


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What is scored beside a bundle, on the same images.

    `frozen_weights` adds the frozen backbone to the baselines; `seed_runs` are the runs of the
    same recipe, the bundle's own among them, whose spread the report shows; `masked` are images
    with masks, by which heat maps are judged.
    """

    frozen_weights: Path | None = None
    seed_runs: Sequence[Path] = ()
    masked: Sequence[MaskedImage] = ()


ALONE = Comparisons()


@dataclass(frozen=True, slots=True)
class External:
    """The sources of other places to score, and tables of such that aren't at hand."""

    sources: Sequence[ExternalSource] = ()
    absent: Sequence[str] = ()


NOWHERE = External()


def find_external(dataset: Dataset, data_root: Path, data: DataConfig) -> External:
    """What the task file names of other places, as far as it lies at hand."""
    return External(dataset.external, list_absent(data_root, data))


def evaluate_bundle(
    predictor: Predictor,
    config: TaskConfig,
    dataset: Dataset,
    out: Path,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    is_robustness_wanted: bool = True,
    comparisons: Comparisons = ALONE,
    external: External = NOWHERE,
) -> Evaluation:
    """Score the bundle on a split and on other places, and write the report into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    manifest, examples = predictor.bundle.manifest, dataset.of_split(split)
    training = dataset.of_split("train")
    answers = collect_answers(predictor, examples, has_maps=True)
    short, baselines = score_baselines(
        training,
        dataset.of_split("val"),
        examples,
        config,
        frozen_weights=comparisons.frozen_weights,
    )
    evaluation = Evaluation(
        split=split,
        images=len(examples),
        groups=len(set(answers.groups)),
        metrics=score_answers(answers, manifest, config.decision, resamples=resamples),
        baseline=short[THUMBNAILS],
        by_source=_count_by_source(answers, manifest.labels),
        refusals=dict(sorted(Counter(code for code in answers.refusals if code).items())),
        refused_by_label=_count_refused(answers, manifest.labels),
        openness=score_openness(answers, manifest),
        frozen_baseline=short.get(FROZEN, {}),
        confusion=_count_confusion(answers, len(manifest.labels)),
        operating=judge_operating(answers, manifest, resamples=resamples),
        subgroups=score_subgroups(answers, manifest, config.decision, resamples=resamples),
        robustness=measure_robustness(predictor, answers) if is_robustness_wanted else [],
        seeds=score_runs(
            comparisons.seed_runs, examples, dataclasses.replace(config, input=manifest.input)
        ),
        series=score_series_answers(answers, manifest),
        external=score_sources(
            predictor, external.sources, answers, dataset, out, resamples=resamples
        ),
        external_absent=list(external.absent),
        maps=measure_maps(predictor, config, answers, comparisons.masked, resamples=resamples),
    )
    _write(evaluation, predictor, answers, baselines, out)
    return evaluation


def _write(
    evaluation: Evaluation,
    predictor: Predictor,
    answers: Answers,
    baselines: Baselines,
    out: Path,
) -> None:
    write_baselines(baselines, out)
    labels = predictor.bundle.labels
    (out / REPORT).write_text(json.dumps(dataclasses.asdict(evaluation), indent=2) + "\n")
    write_predictions(answers, labels, out / PREDICTIONS)
    matrix = confusion_matrix(answers.targets, answers.given, labels=len(labels))
    plot_confusion(matrix, labels, out / CONFUSION)
    plot_roc(answers.probabilities, answers.targets, labels, out / ROC)
    page = render_page(
        evaluation,
        predictor.bundle.manifest,
        answers,
        draw_pictures(evaluation, predictor, answers),
        read_baselines(out, evaluation),
        digest=predictor.bundle.digest,
    )
    (out / PAGE).write_text(page, encoding="utf-8")


def _count_confusion(answers: Answers, labels: int) -> dict[str, list[list[int]]]:
    calls = {"at_thresholds": answers.given, "argmax": np.argmax(answers.probabilities, axis=1)}
    return {
        name: confusion_matrix(answers.targets, given, labels=labels).tolist()
        for name, given in calls.items()
    }


def _count_refused(answers: Answers, labels: tuple[str, ...]) -> dict[str, Share]:
    """Of each label that any image has, how many are refused."""
    of_label = {label: answers.targets == index for index, label in enumerate(labels)}
    return {
        label: Share(int(answers.is_refused[rows].sum()), int(rows.sum()))
        for label, rows in of_label.items()
        if rows.any()
    }


def _count_by_source(answers: Answers, labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """For every `source/label of the set`, how often each label was given."""
    counts: dict[str, dict[str, int]] = {}
    for example, given in zip(answers.examples, answers.given, strict=True):
        cell = counts.setdefault(f"{example.source}/{example.set_label}", dict.fromkeys(labels, 0))
        cell[labels[given]] += 1
    return dict(sorted(counts.items()))
