"""The figures of an epoch: training's own, and the validation split as it is and as changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.calibration import softmax
from ml.workshop.evaluation.metrics import macro_auc, score_labels
from ml.workshop.training.batches import ImageBatches

# Before the source in the name of a column.
BY_SOURCE = "@"
# Columns of the history of every run.
COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_macro_auc",
    "changed_loss",
    "robust_loss",
)


def score_validation(network: Any, plain: ImageBatches, changed: ImageBatches) -> dict[str, float]:
    """Figures of the validation images, as they are and as changed at random.

    `robust_loss` is the mean loss of both: a network that leans on exposure or sharpness does
    well on the first and fails on another hospital's images.
    """
    scores = [softmax(network.predict(batches, verbose=0)) for batches in (plain, changed)]
    figures_by_source = _score_sources(scores[0], plain)
    losses = [_log_loss(score, plain.targets, plain.weights) for score in scores]
    labels: Sequence[str] = plain.config.data.labels
    figures = score_labels(plain.targets, scores[0].argmax(axis=1), labels)
    return {
        "val_loss": losses[0],
        "val_accuracy": figures["accuracy"],
        "val_balanced_accuracy": figures["balanced_accuracy"],
        "val_macro_auc": macro_auc(scores[0], plain.targets),
        "changed_loss": losses[1],
        "robust_loss": sum(losses) / 2,
        **figures_by_source,
    }


def list_columns(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Columns of the history: those of every run, then those of the sources of this one."""
    known = {name for row in history for name in row if BY_SOURCE in name}
    return [*COLUMNS, *sorted(known)]


def _score_sources(scores: NDArray[np.float64], plain: ImageBatches) -> dict[str, float]:
    """Macro AUC and balanced accuracy in each source that shows several labels, if there are more.

    What all of them reach together hides the one in which the network fails.
    """
    sources = np.array([example.source for example in plain.examples])
    names = sorted(set(sources.tolist()))
    figures: dict[str, float] = {}
    for name in names if len(names) > 1 else ():
        targets, own = plain.targets[sources == name], scores[sources == name]
        if len(set(targets.tolist())) < 2:
            continue
        found = score_labels(targets, own.argmax(axis=1), plain.config.data.labels)
        figures[f"val_macro_auc{BY_SOURCE}{name}"] = macro_auc(own, targets)
        figures[f"val_balanced_accuracy{BY_SOURCE}{name}"] = found["balanced_accuracy"]
    return figures


def _log_loss(
    scores: NDArray[np.float64], targets: NDArray[np.int64], weights: NDArray[np.float32]
) -> float:
    right = scores[np.arange(len(targets)), targets]
    return float(-np.average(np.log(right + 1e-12), weights=weights))
