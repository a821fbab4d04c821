"""Searches that train nothing: rows without pictures, and a curve in place of a training."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.workshop.datasets import Dataset, Example
from ml.workshop.task_config import TaskConfig, find_task
from ml.workshop.training.scoring import COLUMNS
from ml.workshop.tuning.fitting import read_history
from ml.workshop.tuning.space import read_space
from ml.workshop.tuning.trials import Search, make_parts
from tests.ml.conftest import load_chest

CHEST = find_task("chest-xray")
OVERRIDES = {"training.epochs": 4, "model.weights": "none"}
GRID = ("training.learning_rate=[1e-4, 1e-3, 1e-2]", "model.dropout=[0.1, 0.3]")
BEST_RATE = 1e-3


def follow_curve(
    config: TaskConfig, dataset: Dataset, run: Path, *, on_epoch: Any = None, **_: Any
) -> Path:
    """Trains nothing: a curve that falls with the epochs and is lowest for one learning rate.

    Like a training it goes on from its history, and its end depends a little on the seed.
    """
    run.mkdir(parents=True, exist_ok=True)
    distance = abs(math.log10(config.training.learning_rate / BEST_RATE))
    done = len(read_history(run))
    for epoch in range(done + 1, config.training.epochs + 1):
        loss = distance + config.model.dropout / 10 + 1 / epoch + config.training.seed / 1000
        row = dict.fromkeys(COLUMNS, loss) | {"epoch": float(epoch)}
        with (run / "history.csv").open("a", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            if epoch == 1:
                writer.writeheader()
            writer.writerow(row)
        if on_epoch:
            on_epoch(epoch, row)
    return run / "best.keras"


def make_rows(groups: Mapping[str, int], *, images: int = 2) -> Dataset:
    """Rows without pictures: for each label that many groups of `images` each."""
    splits = ("train",) * 3 + ("val", "test")
    examples = [
        Example(
            path=Path("nowhere"),
            name=f"{label}/{group}/{image}",
            label=label,
            set_label=label,
            source="guangzhou",
            group=f"{label}:{group}",
            split=splits[group % 5],
            population="",
        )
        for label, count in groups.items()
        for group in range(count)
        for image in range(images)
    ]
    return Dataset(examples=tuple(examples), digest="0" * 64)


def make_search(dataset: Dataset, *pairs: str, folds: int = 0, **options: Any) -> Search:
    config = load_chest(OVERRIDES)
    return Search(
        path=CHEST,
        overrides=OVERRIDES,
        space=read_space(None, pairs or GRID, config),
        parts=make_parts(config, dataset, folds=folds, seeds=options.pop("seeds", 1)),
        **{"train": follow_curve, "method": "grid", "pruner": "none", **options},
    )


def write_space(folder: Path, *lines: str) -> Path:
    path = folder / "space.toml"
    path.write_text("\n".join(("[search]", *lines)))
    return path
