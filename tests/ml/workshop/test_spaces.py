"""Search spaces: what may be searched, grids, and values as the command line writes them."""

import tomllib
from pathlib import Path

import pytest

from ml.errors import SearchSpaceInvalid, TaskConfigInvalid
from ml.workshop.commands.options import parse_overrides
from ml.workshop.task_config import find_task, load_task
from ml.workshop.task_tables import TASKS_DIR
from ml.workshop.tuning.space import check_space, find_space, read_space, write_overrides
from tests.ml.conftest import load_chest

CHEST = find_task("chest-xray")


def write_space(folder: Path, *lines: str) -> Path:
    path = folder / "space.toml"
    path.write_text("\n".join(("[search]", *lines)))
    return path


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ('"training.learning_rte" = { low = 1e-4, high = 1e-3 }', "no entry"),
        ('"decision.target_recall" = { low = 0.8, high = 0.9 }', "no entry"),
        ('"training.seed" = { low = 1, high = 9 }', "luckiest"),
        ('"training.monitor" = { choices = ["val_loss"] }', "compared by"),
        ('"training.balance_power" = { low = 0.0, high = 1.0 }', "weights robust_loss"),
        ('"augmentation.noise" = { low = 0.0, high = 0.1 }', "shapes robust_loss"),
        ('"model.dropout" = { low = 0.5, high = 0.1 }', "below"),
        ('"model.dropout" = { low = 0.5 }', "low and high"),
        ('"model.dropout" = { low = 0.1, high = 0.5, speed = 1 }', "speed"),
        ('"model.dropout" = { choices = [] }', "one value"),
        ('"training.epochs" = { low = 1.5, high = 9 }', "whole numbers"),
        ('"training.loss" = { choices = ["focal"], log = true }', "alone"),
    ],
)
def test_read_space_refuses_what_cannot_be_searched(tmp_path: Path, line: str, detail: str) -> None:
    with pytest.raises(SearchSpaceInvalid, match=detail):
        read_space(write_space(tmp_path, line), [], load_chest())


@pytest.mark.parametrize(
    "pair",
    [
        'training.loss=["cross_entropy", "huber"]',
        "model.dropout=[0.2, 1.5]",
        'training.learning_rate=["fast"]',
    ],
)
def test_check_space_refuses_values_that_the_task_refuses(pair: str) -> None:
    space = read_space(None, [pair], load_chest())
    with pytest.raises(TaskConfigInvalid):
        check_space(space, CHEST, {})


def test_read_space_lets_augmentation_vary_when_the_monitor_does_not_depend_on_it(
    tmp_path: Path,
) -> None:
    config = load_chest({"training.monitor": "val_macro_auc"})
    lines = (
        '"augmentation.noise" = { low = 0.0, high = 0.1, step = 0.05 }',
        '"training.batch_size" = { low = 8, high = 32, step = 8 }',
    )
    grid = read_space(write_space(tmp_path, *lines), [], config).list_grid()
    assert {point["augmentation.noise"] for point in grid} == {0.0, 0.05, 0.1}
    assert {point["training.batch_size"] for point in grid} == {8, 16, 24, 32}
    assert len(grid) == 12


def test_list_grid_refuses_when_a_range_has_no_step(tmp_path: Path) -> None:
    space = read_space(
        write_space(tmp_path, '"model.dropout" = { low = 0.1, high = 0.5 }'), [], load_chest()
    )
    with pytest.raises(SearchSpaceInvalid, match="step"):
        space.list_grid()


@pytest.mark.parametrize("task", sorted(path.stem for path in (TASKS_DIR / "search").glob("*")))
def test_check_space_accepts_the_spaces_that_ship(task: str) -> None:
    config = load_task(find_task(task))
    check_space(read_space(find_space(task), [], config), find_task(task), {})


def test_write_overrides_gives_lines_that_train_and_toml_read_alike() -> None:
    point = {
        "training.learning_rate": 1e-05,
        "training.epochs": 3,
        "model.fixed_norms": True,
        "model.weights": 'a "b" \\c',
    }
    lines = write_overrides(point)
    assert parse_overrides(lines) == point
    assert tomllib.loads("\n".join(lines))["model"] == {
        "fixed_norms": True,
        "weights": 'a "b" \\c',
    }
