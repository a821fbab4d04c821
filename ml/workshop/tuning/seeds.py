"""One recipe trained with several seeds: how much of a figure is luck."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.workshop.datasets import Dataset
from ml.workshop.task_config import TaskConfig
from ml.workshop.tuning.fitting import (
    Fit,
    Trainer,
    fit_network,
    train_and_release,
    without_test,
    write_json,
)

RESULT = "seeds.json"


@dataclass(frozen=True, slots=True)
class SeedRuns:
    """What each seed reached on validation, and the mean and standard deviation (n - 1)."""

    runs: dict[int, Path]
    fits: dict[int, Fit]
    mean: dict[str, float]
    sd: dict[str, float]


def run_seeds(
    config: TaskConfig,
    dataset: Dataset,
    folder: Path,
    seeds: Sequence[int],
    *,
    on_seed: Callable[[], None] | None = None,
    train: Trainer = train_and_release,
) -> SeedRuns:
    """Train the recipe with each seed into `<folder>/seed-<n>`; finished ones are kept.

    Test rows are left out. The figures are those of each run's best epoch, and are written to
    `seeds.json`. Raises RunMismatch when a folder was begun with another recipe or other rows.
    """
    usable = without_test(dataset)
    runs = {seed: folder / f"seed-{seed}" for seed in seeds}
    fits: dict[int, Fit] = {}
    for seed, run in runs.items():
        fits[seed] = fit_network(config.with_seed(seed), usable, run, train=train)
        if on_seed:
            on_seed()
    found = SeedRuns(runs, fits, *_spread(list(fits.values())))
    figures = {str(seed): fit.figures for seed, fit in fits.items()}
    write_json(folder / RESULT, {"seeds": figures, "mean": found.mean, "sd": found.sd})
    return found


def _spread(fits: Sequence[Fit]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of each figure that every seed has."""
    names = [name for name in fits[0].figures if all(name in fit.figures for fit in fits)]
    values = {name: np.array([fit.figures[name] for fit in fits]) for name in names}
    mean = {name: float(one.mean()) for name, one in values.items()}
    sd = {name: float(one.std(ddof=1)) if len(one) > 1 else 0.0 for name, one in values.items()}
    return mean, sd
