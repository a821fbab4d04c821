"""One training as a step of a larger plan: finished once, never trained again."""

import csv
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ml.errors import DataInvalid, TaskConfigInvalid
from ml.workshop.datasets import Dataset
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.checkpoints import LATEST
from ml.workshop.training.loop import BEST, HISTORY, OnEpoch, train_network
from ml.workshop.training.recipe import claim_run

FIT = "fit.json"
# Trains into a folder as `train_network` does, and leaves a history there.
Trainer = Callable[..., Path]


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished training: the history's row of its best epoch, and what it took."""

    figures: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float


def train_and_release(
    config: TaskConfig, dataset: Dataset, run: Path, *, on_epoch: OnEpoch | None = None
) -> Path:
    """`train_network` for a process that trains many: its network doesn't stay in memory."""
    try:
        return train_network(config, dataset, run, on_epoch=on_epoch)
    finally:
        keras.backend.clear_session()


def fit_network(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    *,
    on_epoch: OnEpoch | None = None,
    train: Trainer = train_and_release,
) -> Fit:
    """Train into `run` unless that was done; an interrupted training goes on.

    The dataset must hold no test rows: nothing that is chosen by a fit may have seen them. Raises
    DataInvalid if it does, RunMismatch when `run` was begun with other choices or rows, and
    TrainingDiverged when no epoch's monitor was a finite number.
    """
    if any(example.split == "test" for example in dataset.examples):
        raise DataInvalid(path=dataset.origin, detail="test rows reached a training")
    claim_run(config, dataset, run)
    if (run / FIT).exists():
        return Fit(**json.loads((run / FIT).read_text()))
    started = time.monotonic()
    train(config, dataset, run, on_epoch=on_epoch)
    rows = read_history(run)
    best = choose_epoch(rows, config.training.monitor)
    (run / LATEST).unlink(missing_ok=True)
    fit = Fit(
        figures={name: value for name, value in best.items() if math.isfinite(value)},
        best_epoch=int(best["epoch"]),
        epochs=len(rows),
        seconds=time.monotonic() - started,
    )
    write_json(run / FIT, dataclasses.asdict(fit))
    return fit


def choose_epoch(rows: Sequence[dict[str, float]], monitor: str) -> dict[str, float]:
    """The first row that is best by the monitor; rows where it isn't finite count as worst."""
    sign = -1 if is_loss(monitor) else 1
    return max(
        rows, key=lambda row: sign * row[monitor] if math.isfinite(row[monitor]) else -math.inf
    )


def is_loss(monitor: str) -> bool:
    """Whether less of the monitor is better."""
    return monitor.endswith("loss")


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows of a run's history as numbers; none before its first epoch."""
    path = run / HISTORY
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)
        ]


def list_seeds(config: TaskConfig, count: int | None = None) -> list[int]:
    """So many of the task's seeds, its own among them, in their order; all without a count.

    Raises TaskConfigInvalid when the task file names fewer.
    """
    own, seeds = config.training.seed, config.training.seeds
    if count is None:
        return list(seeds)
    if count > len(seeds):
        raise TaskConfigInvalid(
            path=config.task, detail=f"training.seeds names {len(seeds)} seeds, not {count}"
        )
    taken = [own, *(seed for seed in seeds if seed != own)][:count]
    return [seed for seed in seeds if seed in taken]


def without_test(dataset: Dataset) -> Dataset:
    """The rows that choices may rest on: those of the test split are left out."""
    kept = tuple(example for example in dataset.examples if example.split != "test")
    return dataclasses.replace(dataset, examples=kept)


def write_json(path: Path, content: object) -> None:
    """Whole or not at all: another process may be reading, this one may be stopped."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=2, default=_plain) + "\n")
    draft.replace(path)


def _plain(value: object) -> object:
    """Paths, dataclasses and numpy's numbers as JSON has them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} can't be written as JSON")


def drop_networks(run: Path) -> None:
    """Remove the networks of every training under `run`; histories and figures stay."""
    for name in (BEST, LATEST):
        for path in run.rglob(name):
            path.unlink(missing_ok=True)
