"""Task files and data tables: what they say is checked before it is used."""

import csv
from pathlib import Path
from typing import Any

import pytest

from ml.errors import DataInvalid, TaskConfigInvalid
from ml.workshop.datasets import balance_weights, load_dataset
from ml.workshop.task_config import load_task
from ml.workshop.task_tables import TASKS_DIR
from tests.ml.conftest import load_chest


@pytest.mark.parametrize("path", sorted(TASKS_DIR.glob("*.toml")), ids=lambda path: path.stem)
def test_load_task_accepts_every_task_that_ships(path: Path) -> None:
    config = load_task(path)
    assert config.task == path.stem
    assert config.card.limits
    assert config.card.licences


@pytest.mark.parametrize(
    ("entry", "value", "complaint"),
    [
        ("training.epoch", 3, "unknown"),
        ("training.epochs", "many", "epochs"),
        ("training.epochs", True, "epochs"),
        ("input.colour", "sepia", "one of grey, rgb"),
        ("data.normal_label", "healthy", "normal_label"),
        ("data.labels", ["normal", "normal"], "repeat"),
        ("decision.target_recall", 1.5, "target_recall"),
        ("training.seed", 10, "one of training.seeds"),
        ("training.seeds", [7, 7], "must not repeat"),
    ],
)
def test_load_task_refuses_when_an_entry_is_wrong(entry: str, value: Any, complaint: str) -> None:
    with pytest.raises(TaskConfigInvalid, match=complaint):
        load_chest({entry: value})


def test_load_task_has_another_digest_when_a_choice_changes() -> None:
    digest = load_chest().digest
    assert load_chest().digest == digest
    assert load_chest({"training.seed": 8}).digest != digest


def test_load_task_has_the_same_digest_when_only_the_repeats_change() -> None:
    repeated = load_chest({"training.seeds": [7, 11]})
    assert repeated.digest == load_chest().digest


def test_load_dataset_reads_labels_groups_and_digest(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data, load_chest().data)
    assert len(dataset.examples) == 30
    assert {split: len(dataset.of_split(split)) for split in ("train", "val", "test")} == {
        "train": 18,
        "val": 6,
        "test": 6,
    }
    assert len(dataset.digest) == 64
    assert dataset.examples[0].path.is_file()


def test_load_dataset_maps_a_label_that_stands_for_another(tmp_path: Path) -> None:
    write_rows(tmp_path, [("a.png", "covid", "s", "g1", "train"), ("b", "other", "s", "g2", "val")])
    (example,) = load_dataset(tmp_path, load_chest().data).examples
    assert (example.label, example.set_label) == ("pneumonia", "covid")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("a", "normal", "s", "g", "train"), ("b", "normal", "s", "g", "test")], "cross splits"),
        ([("a", "normal", "s", "g", "tran")], "unknown split"),
    ],
)
def test_load_dataset_refuses_when_splits_are_wrong(
    tmp_path: Path, rows: list[tuple[str, ...]], complaint: str
) -> None:
    write_rows(tmp_path, rows)
    with pytest.raises(DataInvalid, match=complaint):
        load_dataset(tmp_path, load_chest().data)


def test_load_dataset_refuses_when_the_table_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid):
        load_dataset(tmp_path, load_chest().data)


def test_balance_weights_count_rare_cells_more_and_average_one(tiny_data: Path) -> None:
    examples = list(load_dataset(tiny_data, load_chest().data).examples)
    few = [row for row in examples if row.label != "normal" or row.split == "test"]
    weights = balance_weights(few, power=1.0)
    by_label = {row.label: weight for row, weight in zip(few, weights, strict=True)}
    assert sum(weights) / len(weights) == pytest.approx(1)
    assert by_label["normal"] == pytest.approx(5 * by_label["pneumonia"])
    assert set(balance_weights(few, power=0)) == {1.0}


def write_rows(root: Path, rows: list[tuple[str, ...]]) -> None:
    with (root / "chest-xray.csv").open("w", newline="") as stream:
        head = ("path", "label", "source", "group", "split")
        csv.writer(stream).writerows([head, *rows])
