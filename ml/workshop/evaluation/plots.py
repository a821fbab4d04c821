"""The pictures of a report: confusion matrix, ROC curves, training curves."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from ml.workshop.evaluation.metrics import roc_auc

DPI = 110
# Okabe and Ito's palette: distinct to colour-blind eyes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def plot_confusion(matrix: NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Counts by true label (rows) and given label (columns), shaded by share of the row."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        ink = "black" if shares[row, column] > 0.5 else "white"
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=ink)
    axes.set_xticks(range(len(labels)), labels, rotation=20)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="given", ylabel="true")
    _save(figure, path)


def plot_roc(
    probabilities: NDArray[np.float64],
    targets: NDArray[np.int64],
    labels: Sequence[str],
    path: Path,
) -> None:
    """One-against-the-rest ROC curve of every label."""
    figure, axes = plt.subplots(figsize=(5, 4.6), layout="constrained")
    for index, label in enumerate(labels):
        is_positive = targets == index
        if is_positive.all() or not is_positive.any():
            continue
        order = np.argsort(-probabilities[:, index], kind="stable")
        hits = np.cumsum(is_positive[order]) / is_positive.sum()
        alarms = np.cumsum(~is_positive[order]) / (~is_positive).sum()
        area = roc_auc(probabilities[:, index], is_positive)
        colour = COLOURS[index % len(COLOURS)]
        axes.plot([0, *alarms], [0, *hits], color=colour, label=f"{label} (AUC {area:.3f})")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right")
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    # No software name or date inside, so that the same figures give the same file.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
