"""What a person sees of a training: a bar on a terminal, a line for each epoch elsewhere."""

import sys
from collections.abc import Mapping

import keras
from tqdm import tqdm

SHOWN = ("loss", "accuracy", "val_loss", "val_balanced_accuracy", "val_macro_auc", "robust_loss")


class EpochBar(keras.callbacks.Callback):
    """A bar over the steps of one epoch, on standard error and only if that is a terminal."""

    def __init__(self, epoch: int, epochs: int, steps: int) -> None:
        super().__init__()
        self._bar = tqdm(
            total=steps, desc=f"epoch {epoch}/{epochs}", unit="step", leave=False, disable=None
        )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move on by a step."""
        self._bar.update()
        if logs and not self._bar.disable:
            self._bar.set_postfix({"loss": f"{float(logs['loss']):.3f}"}, refresh=False)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Clear the bar."""
        self._bar.close()


def write_epoch(row: Mapping[str, float], *, epochs: int, seconds: float, is_best: bool) -> None:
    """One line on standard error with the figures of a finished epoch."""
    figures = "  ".join(f"{name} {row[name]:.4f}" for name in SHOWN)
    mark = "  best" if is_best else ""
    sys.stderr.write(f"epoch {row['epoch']:.0f}/{epochs}  {figures}  {seconds:.0f} s{mark}\n")
    sys.stderr.flush()
