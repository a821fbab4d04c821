"""The curves of a training: loss and every other figure by epoch, from the history's CSV."""

import csv
import math
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from ml.workshop.evaluation.plots import COLOURS, DPI

# Columns of the history, panel by panel; a run of an older version may lack some.
PANELS = {
    "loss": ("loss", "val_loss", "changed_loss", "robust_loss"),
    "accuracy": ("accuracy", "val_accuracy", "val_balanced_accuracy"),
    "macro AUC": ("val_macro_auc",),
}
KEYS = {
    "loss": "training",
    "val_loss": "validation",
    "changed_loss": "validation, changed",
    "robust_loss": "validation, mean of both",
    "accuracy": "training",
    "val_accuracy": "validation",
    "val_balanced_accuracy": "validation, balanced",
    "val_macro_auc": "validation",
}


def plot_curves(history: Path, path: Path) -> None:
    """Draw the panels of a `history.csv` into a PNG, a dotted line at the lowest robust loss."""
    with history.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    epochs = [int(row["epoch"]) for row in rows]
    figure, panels = plt.subplots(1, len(PANELS), figsize=(12, 3.6), layout="constrained")
    for axes, (title, columns) in zip(panels, PANELS.items(), strict=True):
        for column, colour in zip(columns, COLOURS, strict=False):
            values = [float(row.get(column) or math.nan) for row in rows]
            axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=KEYS[column])
        axes.set(xlabel="epoch", title=title)
        axes.legend(fontsize="small")
    losses = [float(row.get("robust_loss") or row["val_loss"]) for row in rows]
    panels[0].axvline(epochs[losses.index(min(losses))], color="0.6", linestyle=":", linewidth=1)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
