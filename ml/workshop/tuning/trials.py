"""One trial of a search: its trainings, what they report on the way, and when they are stopped."""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from ml.errors import TrainingDiverged
from ml.workshop.datasets import Dataset
from ml.workshop.task_config import TaskConfig, load_task
from ml.workshop.training.recipe import digest_rows
from ml.workshop.tuning.fitting import (
    Trainer,
    fit_network,
    is_loss,
    list_seeds,
    read_history,
    train_and_release,
    without_test,
)
from ml.workshop.tuning.folds import make_search_folds
from ml.workshop.tuning.space import Point, Space, tidy_point
from ml.workshop.tuning.workers import note_activity


class TimeSpent(Exception):
    """The search's time is over; the trial can go on another day."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the trainings whose mean is a trial's value."""

    name: str
    seed: int
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched: the task file with its overrides, the space, the parts of each trial.

    `method` is `tpe`, `random` or `grid`; `pruner` is `median`, `halving` or `none`. `trials` and
    `hours` end the search, whichever comes first; None sets no bound. `train` does the training.
    """

    path: Path
    overrides: Mapping[str, Any]
    space: Space
    parts: tuple[Part, ...]
    method: str = "tpe"
    pruner: str = "median"
    trials: int | None = None
    hours: float | None = None
    train: Trainer = train_and_release

    def configure(self, point: Point) -> TaskConfig:
        """The task with the trial's values; raises TaskConfigInvalid if they don't go together."""
        return load_task(self.path, overrides={**self.overrides, **point})

    def count_trials(self) -> int | None:
        """How many trials there will be at most; raises SearchSpaceInvalid for an endless grid."""
        if self.method != "grid":
            return self.trials
        points = len(self.space.list_grid())
        return points if self.trials is None else min(points, self.trials)

    def describe(self) -> dict[str, Any]:
        """What must stay the same for trials to be compared: recipe, space, rows."""
        return {
            "recipe": self.configure({}).digest,
            "space": self.space.describe(),
            "parts": {part.name: digest_rows(part.dataset.examples) for part in self.parts},
        }

    @property
    def digest(self) -> str:
        """SHA-256 of `describe`."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()


def make_parts(config: TaskConfig, dataset: Dataset, *, folds: int, seeds: int) -> tuple[Part, ...]:
    """A training for each fold and seed; without folds, on the data's own train and val.

    Rows of the test split are left out here, so that no search can touch them.
    """
    usable = without_test(dataset)
    datasets = {"": usable}
    if folds:
        divided = make_search_folds(usable, folds, seed=config.training.seed)
        datasets = {f"fold-{number}-": one for number, one in enumerate(divided)}
    return tuple(
        Part(name=f"{prefix}seed-{seed}", seed=seed, dataset=one)
        for prefix, one in datasets.items()
        for seed in list_seeds(config, seeds)
    )


def run_trial(
    search: Search, trial: optuna.Trial, folder: Path, *, deadline: float | None
) -> float:
    """Train every part and return the mean of their best monitors.

    Raises optuna.TrialPruned, TrainingDiverged, TimeSpent, TaskConfigInvalid.
    """
    config = search.configure(tidy_point(trial.params))
    follower = Follower(trial, config, deadline=deadline)
    for part in search.parts:
        run = folder / part.name
        follower.begin(read_history(run))
        fit = fit_network(
            config.with_seed(part.seed),
            part.dataset,
            run,
            on_epoch=follower.on_epoch,
            train=search.train,
        )
        follower.end(fit.figures[config.training.monitor])
    return sum(follower.values) / len(follower.values)


class Follower:
    """Reports a trial's trainings, epoch by epoch, and stops them when there is no point.

    The value reported is the mean over the parts begun, each with its best epoch so far; the step
    counts epochs through all parts, so that trials are compared at the same point of their way.
    """

    def __init__(self, trial: optuna.Trial, config: TaskConfig, *, deadline: float | None) -> None:
        self.values: list[float] = []
        self._trial = trial
        self._training = config.training
        self._better = min if is_loss(config.training.monitor) else max
        self._deadline = deadline
        self._best: float | None = None

    def begin(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Start the next part; `rows` are the epochs it has already done in an earlier attempt."""
        self._best = None
        for epoch, row in enumerate(rows, start=1):
            self._report(epoch, row)

    def end(self, value: float) -> None:
        """Finish the part with its best monitor."""
        self.values.append(value)

    def on_epoch(self, epoch: int, row: dict[str, float]) -> None:
        """Called by the training after each epoch; raises to stop it."""
        self._report(epoch, row)
        note_activity(self._trial)
        if self._trial.should_prune():
            raise optuna.TrialPruned
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeSpent

    def _report(self, epoch: int, row: Mapping[str, float]) -> None:
        value = row[self._training.monitor]
        if not math.isfinite(value):
            raise TrainingDiverged(epoch=epoch)
        self._best = value if self._best is None else self._better(self._best, value)
        begun = [*self.values, self._best]
        step = len(self.values) * self._training.epochs + epoch
        self._trial.report(sum(begun) / len(begun), step)
