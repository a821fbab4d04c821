"""What trainings of one recipe with other seeds reach on the same images."""

import math
from collections.abc import Sequence
from pathlib import Path

from ml.calibration import softmax
from ml.errors import CheckpointInvalid
from ml.workshop.datasets import Example
from ml.workshop.evaluation.scoring import score_plainly
from ml.workshop.task_config import TaskConfig

# Figures that need no threshold: every network would have thresholds of its own.
FIGURES = ("argmax_accuracy", "argmax_balanced_accuracy", "macro_auc")
RECALL = "argmax_recall."


def score_runs(
    runs: Sequence[Path], examples: Sequence[Example], config: TaskConfig
) -> dict[str, list[float]]:
    """Each figure with its value for the best network of every run, most probable labels taken.

    The recall of a label that no example has is left out. Raises CheckpointInvalid for a
    run without a network.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, value in _score_run(run, examples, config).items():
            found.setdefault(name, []).append(value)
    return found


def _score_run(run: Path, examples: Sequence[Example], config: TaskConfig) -> dict[str, float]:
    import keras

    from ml.workshop.training.loop import BEST
    from ml.workshop.training.outputs import run_network

    if not (run / BEST).is_file():
        raise CheckpointInvalid(path=run, detail=f"it has no {BEST}")
    outputs = run_network(keras.saving.load_model(run / BEST, compile=False), examples, config)
    figures = score_plainly(softmax(outputs.logits), outputs.targets, config.data.labels)
    return {
        name: value
        for name, value in figures.items()
        if (name in FIGURES or name.startswith(RECALL)) and not math.isnan(value)
    }
