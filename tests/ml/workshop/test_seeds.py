"""One recipe with several seeds: which ones, and what their spread is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import RunMismatch, TaskConfigInvalid
from ml.workshop.cli import main
from ml.workshop.datasets import Dataset
from ml.workshop.task_config import TaskConfig, find_task, load_task
from ml.workshop.task_tables import TASKS_DIR
from ml.workshop.tuning.fitting import list_seeds
from ml.workshop.tuning.seeds import SeedRuns, run_seeds
from tests.ml.conftest import ALONE_SET, load_chest
from tests.ml.pictures import write_dataset
from tests.ml.workshop.searches import OVERRIDES, follow_curve, make_rows

CHEST = find_task("chest-xray")


@pytest.fixture
def dataset() -> Dataset:
    return make_rows({"normal": 10, "pneumonia": 8, "tuberculosis": 6})


def test_run_seeds_gives_mean_and_spread_and_trains_nothing_twice(
    dataset: Dataset, tmp_path: Path
) -> None:
    config, trained = load_chest(OVERRIDES), []

    def train(config: TaskConfig, rows: Dataset, run: Path, **options: Any) -> Path:
        trained.append(config.training.seed)
        return follow_curve(config, rows, run, **options)

    for seeds in ([7, 8], [7, 8, 12]):
        found = run_seeds(config, dataset, tmp_path / "runs", seeds, train=train)
    assert trained == [7, 8, 12]
    values = [found.fits[seed].figures["robust_loss"] for seed in (7, 8, 12)]
    assert found.mean["robust_loss"] == pytest.approx(np.mean(values))
    assert found.sd["robust_loss"] == pytest.approx(np.std(values, ddof=1))
    other = load_chest({**OVERRIDES, "training.label_smoothing": 0.2})
    with pytest.raises(RunMismatch, match="config"):
        run_seeds(other, dataset, tmp_path / "runs", [8], train=train)


@pytest.mark.parametrize("seed", [7, 8, 2**32])
def test_with_seed_is_what_the_task_file_would_be_with_that_seed(seed: int) -> None:
    overrides = {"training.seed": seed, "training.seeds": [seed]}
    named = load_chest(overrides)
    changed = load_chest().with_seed(seed)
    assert changed.digest == named.digest
    assert changed.training.seed == seed


@pytest.mark.parametrize("path", sorted(TASKS_DIR.glob("*.toml")), ids=lambda path: path.stem)
def test_list_seeds_gives_the_published_ones_whichever_the_task_ships(path: Path) -> None:
    config = load_task(path)
    assert list_seeds(config) == [7, 8, 9]
    assert list_seeds(config, 1) == [config.training.seed]
    assert len(list_seeds(config, 2)) == 2
    assert config.training.seed in list_seeds(config, 2)
    with pytest.raises(TaskConfigInvalid, match="3 seeds, not 4"):
        list_seeds(config, 4)


def test_seeds_command_trains_the_seeds_of_the_task_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def run_nothing(config: TaskConfig, rows: Dataset, folder: Path, seeds: list[int]) -> SeedRuns:
        seen.append(seeds)
        return SeedRuns(runs={}, fits={}, mean={}, sd={})

    monkeypatch.setattr("ml.workshop.tuning.seeds.run_seeds", run_nothing)
    data = write_dataset(tmp_path)
    arguments = ["seeds", "chest-xray", *ALONE_SET, "--data", str(data), "--set", "training.seed=9"]
    arguments += ["--set", 'model.weights="none"']
    assert main(arguments) == 0
    assert main([*arguments, "--set", "training.seeds=[9, 21]"]) == 0
    assert seen == [[7, 8, 9], [9, 21]]
