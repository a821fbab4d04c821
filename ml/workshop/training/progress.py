"""What a person sees of a training: a bar on a terminal, a line for each epoch elsewhere."""

import sys
from collections.abc import Mapping

import keras

from ml.workshop.progress import Progress

SHOWN = ("loss", "accuracy", "val_loss", "val_balanced_accuracy", "val_macro_auc", "robust_loss")


class EpochBar(keras.callbacks.Callback):
    """The steps of one epoch, on standard error."""

    def __init__(self, epoch: int, epochs: int, steps: int) -> None:
        super().__init__()
        self._progress = Progress(steps, f"epoch {epoch}/{epochs}", unit="step")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move on by a step."""
        self._progress.advance(note=f"loss {float(logs['loss']):.3f}" if logs else "")

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Clear the bar."""
        self._progress.close()


def write_epoch(row: Mapping[str, float], *, epochs: int, seconds: float, is_best: bool) -> None:
    """One line on standard error with the figures of a finished epoch."""
    figures = "  ".join(f"{name} {row[name]:.4f}" for name in SHOWN)
    mark = "  best" if is_best else ""
    sys.stderr.write(f"epoch {row['epoch']:.0f}/{epochs}  {figures}  {seconds:.0f} s{mark}\n")
    sys.stderr.flush()
