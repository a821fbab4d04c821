"""The baselines beside the network's figures: scored together, kept as JSON, read by name."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.manifest import Metric
from ml.workshop.datasets import Example
from ml.workshop.evaluation.baselines import (
    Scores,
    frozen_scores,
    score_baseline,
    score_in_full,
    thumbnail_scores,
)
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.task_config import TaskConfig

BASELINES = "baselines.json"
THUMBNAILS, FROZEN = "thumbnails", "frozen"
# Each baseline's figures, by the names of the network's.
Baselines = Mapping[str, Mapping[str, float]]


def score_baselines(
    training: Sequence[Example],
    validation: Sequence[Example],
    testing: Sequence[Example],
    config: TaskConfig,
    *,
    frozen_weights: Path | None,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Each baseline's short figures (most probable labels alone), and all by the network's names.

    Fitted on `training`, thresholds from `validation`. Without `frozen_weights` thumbnails alone.
    """
    rows = [*validation, *testing]
    found = {THUMBNAILS: thumbnail_scores(training, rows, config)}
    if frozen_weights is not None:
        found[FROZEN] = frozen_scores(training, rows, config, frozen_weights)
    short, full = {}, {}
    for name, scores in found.items():
        known, own = scores[: len(validation)], scores[len(validation) :]
        short[name] = _score_known(own, testing, config)
        full[name] = score_in_full(own, known, validation, testing, config)
    return short, full


def _score_known(
    scores: Scores, examples: Sequence[Example], config: TaskConfig
) -> dict[str, float]:
    """A baseline's figures without those that nothing was there for."""
    figures = score_baseline(scores, examples, config)
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def write_baselines(baselines: Baselines, folder: Path) -> None:
    """Write `baselines.json`."""
    (folder / BASELINES).write_text(json.dumps(baselines, indent=2) + "\n")


def read_baselines(folder: Path, evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Each baseline's figures by the network's names, from the report's folder.

    Reports that are older than `baselines.json` have a few figures in `evaluation.json`.
    """
    path = folder / BASELINES
    full: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}
    short = {THUMBNAILS: evaluation.baseline, FROZEN: evaluation.frozen_baseline}
    return {
        kind: rename_figures(figures, evaluation.metrics) | full.get(kind, {})
        for kind, figures in short.items()
    }


def rename_figures(figures: Mapping[str, float], metrics: Mapping[str, Metric]) -> dict[str, float]:
    """A baseline's short names as those that the network's same figures have."""
    headline = [name for name in metrics if name.count(".") > 1 and name.endswith(".auc")]
    found: dict[str, float] = {}
    for name, value in figures.items():
        places = headline if name == "headline_auc" else [f"argmax_{name}", name]
        found |= dict.fromkeys([place for place in places if place in metrics][:1], value)
    return found
