"""The pictures of an audit: how often each label occurs, and a montage of each label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFont

from ml.images import read_frames, to_display
from ml.workshop.audit.pictures import Picture
from ml.workshop.datasets import SPLITS
from ml.workshop.evaluation.plots import COLOURS, DPI

COLUMNS, ROWS = 6, 4
CELL, CAPTION = 128, 18
GAP = 6
SEED = 7


def paint_frequency(axes: Any, balance: dict[str, dict[str, int]], labels: Sequence[str]) -> None:
    """Images by label, a bar for each split, its count at its end."""
    places = np.arange(len(labels))
    height = 0.8 / len(SPLITS)
    for row, split in enumerate(SPLITS):
        counts = [balance.get(label, {}).get(split, 0) for label in labels]
        bars = axes.barh(
            places + (row - 1) * height, counts, height, color=COLOURS[row], label=split
        )
        axes.bar_label(bars, padding=3, fontsize=7)
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("images")
    axes.legend()


def frequency_size(labels: Sequence[str]) -> tuple[float, float]:
    """Inches of the drawing of so many labels."""
    return 6.4, 1.0 + 0.55 * len(labels)


def plot_frequency(balance: dict[str, dict[str, int]], labels: Sequence[str], path: Path) -> None:
    """Write the drawing as PNG."""
    figure, axes = plt.subplots(figsize=frequency_size(labels), layout="constrained")
    paint_frequency(axes, balance, labels)
    # No software name or date inside, so that the same figures give the same file.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def make_montage(pictures: Sequence[Picture], label: str) -> Image.Image:
    """Up to 24 training images of a label, drawn at random, the source under each."""
    pool = [one for one in pictures if one.example.label == label and one.example.split == "train"]
    order = np.random.default_rng(SEED).permutation(len(pool))[: COLUMNS * ROWS]
    rows = max(1, -(-len(order) // COLUMNS))
    width, height = CELL + GAP, CELL + CAPTION + GAP
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for place, row in enumerate(order):
        left = GAP + place % COLUMNS * width
        top = GAP + place // COLUMNS * height
        example = pool[row].example
        image = Image.fromarray(to_display(read_frames(example.path, frames=[0])[0]))
        image = image.convert("RGB")
        image.thumbnail((CELL, CELL))
        inset = ((CELL - image.width) // 2, (CELL - image.height) // 2)
        pen.rectangle((left, top, left + CELL - 1, top + CELL - 1), fill="black")
        sheet.paste(image, (left + inset[0], top + inset[1]))
        pen.text((left, top + CELL + 2), example.source[:20], fill="#444444", font=font)
    return sheet
