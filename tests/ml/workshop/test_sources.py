"""Several sources in one data set: what each counts, which rows join, what labels drawn show."""

import csv
import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.errors import TaskConfigInvalid
from ml.workshop.cli import main
from ml.workshop.datasets import (
    Dataset,
    Example,
    balance_weights,
    load_dataset,
    randomise_labels,
    training_weights,
    validation_weights,
)
from ml.workshop.task_config import find_task
from tests.ml.conftest import TINY, load_chest
from tests.ml.pictures import LABELS, draw_case

CHEST = find_task("chest-xray")
HEAD = ("path", "label", "source", "group", "split")


def make_rows(source: str, **counts: int) -> list[Example]:
    return [
        Example(
            Path(f"{source}-{label}-{n}"),
            f"{source}{label}{n}",
            label,
            label,
            source,
            f"{source}:{n}",
            "train",
            "",
        )
        for label, count in counts.items()
        for n in range(count)
    ]


def share_by_source(examples: list[Example], weights: list[float]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for example, weight in zip(examples, weights, strict=True):
        total[example.source] += weight
    return {name: value / len(examples) for name, value in total.items()}


def test_balance_weights_count_a_small_source_up_and_labels_inside_it() -> None:
    examples = make_rows("large", normal=90, pneumonia=10) + make_rows("small", normal=4)
    as_before = share_by_source(examples, balance_weights(examples, power=0.0))
    assert as_before["small"] == pytest.approx(4 / 104)
    even = balance_weights(examples, power=1.0, source_power=1.0)
    assert share_by_source(examples, even) == pytest.approx({"large": 0.5, "small": 0.5})
    by_label = {
        row.label: weight
        for row, weight in zip(examples, even, strict=True)
        if row.source == "large"
    }
    assert by_label["pneumonia"] == pytest.approx(9 * by_label["normal"])
    between = balance_weights(examples, power=0.0, source_power=0.5)
    assert share_by_source(examples, between)["small"] == pytest.approx(2 / 12)


def test_validation_weights_count_every_source_the_same_only_with_a_source_power() -> None:
    examples = make_rows("large", normal=50) + make_rows("small", normal=5)
    config = dataclasses.replace(load_chest().training, source_power=1.0)
    assert validation_weights(examples, config) == training_weights(examples, config)
    balanced = dataclasses.replace(config, source_power=0.3)
    found = share_by_source(examples, validation_weights(examples, balanced))
    assert found == pytest.approx({"large": 0.5, "small": 0.5})
    assert share_by_source(examples, training_weights(examples, balanced))["small"] < 0.4


def write_table(path: Path, rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([HEAD, *rows])


def write_two_tables(root: Path) -> None:
    write_table(root / "chest-xray.csv", [("a.png", "normal", "own", "own:1", "train")])
    splits = ("train", "val", "test", "external-test")
    more = [(f"{split}.png", "pneumonia", "m", f"m:{split}", split) for split in splits]
    write_table(root / "more" / "m.csv", more)


def join(root: Path, **extra: Any) -> Dataset:
    table = {"table": "more/m.csv", "mapping": {"*": "pneumonia"}, "limit_per_cell": 0} | extra
    return load_dataset(root, load_chest({"data.extra": [table]}).data)


def test_load_dataset_takes_of_an_extra_table_only_the_splits_that_are_named(
    tmp_path: Path,
) -> None:
    write_two_tables(tmp_path)
    joined = join(tmp_path, splits=["train", "val"])
    assert [(row.name, row.split) for row in joined.examples] == [
        ("a.png", "train"),
        ("train.png", "train"),
        ("val.png", "val"),
    ]
    assert {row.split for row in join(tmp_path).examples} == {"train", "val", "test"}
    with pytest.raises(TaskConfigInvalid, match="splits"):
        join(tmp_path, splits=["train", "external-test"])


def test_randomise_labels_gives_a_group_one_label_whichever_split_it_is_in() -> None:
    rows = make_rows("s", normal=300, pneumonia=100)
    rows = [
        dataclasses.replace(row, split="val" if n % 3 else "train") for n, row in enumerate(rows)
    ]
    before = Dataset(tuple(rows), digest="d")
    drawn = randomise_labels(before, seed=7)
    by_group: dict[str, set[str]] = {}
    for row in drawn.examples:
        by_group.setdefault(row.group, set()).add(row.label)
        assert row.set_label == row.label
    assert {len(labels) for labels in by_group.values()} == {1}
    share = Counter(row.label for row in drawn.examples)["pneumonia"] / 400
    assert share == pytest.approx(0.25, abs=0.08)
    kept = [one.label == other.label for one, other in zip(rows, drawn.examples, strict=True)]
    assert np.mean(kept) == pytest.approx(0.75**2 + 0.25**2, abs=0.08)
    assert drawn == randomise_labels(before, seed=7) != randomise_labels(before, seed=8)
    assert drawn.digest != before.digest


@pytest.fixture(scope="module")
def wide_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of the same three kinds of picture, one of them brighter."""
    root = tmp_path_factory.mktemp("wide")
    rows = []
    rng = np.random.default_rng(5)
    for source in ("one", "two"):
        for label in LABELS:
            for number, split in enumerate(("train",) * 3 + ("val",) * 2 + ("test",)):
                name = f"{source}-{label}-{number}.png"
                picture = draw_case(label, rng, side=48) // (1 if source == "one" else 2)
                Image.fromarray(picture).save(root / name)
                rows.append((name, label, source, f"{source}:{label}:{number}", split))
    write_table(root / "chest-xray.csv", rows)
    return root


def train(data: Path, run: Path, *options: str) -> int:
    choices = [*TINY, "training.source_power=0.5", "augmentation.style_share=0.5"]
    pairs = [part for pair in choices for part in ("--set", pair)]
    where = ["--data", str(data), "--run", str(run), "--workers", "1"]
    return main(["train", "chest-xray", *where, *pairs, *options])


def test_train_command_writes_the_figures_of_each_source(wide_data: Path, tmp_path: Path) -> None:
    assert train(wide_data, tmp_path / "run") == 0
    with (tmp_path / "run" / "history.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    for figure in ("val_macro_auc", "val_balanced_accuracy"):
        assert all(0 <= float(row[f"{figure}@{source}"]) <= 1 for source in ("one", "two"))
    assert (tmp_path / "run" / "curves.png").is_file()


def test_train_command_never_goes_on_with_true_labels_from_random_ones(
    wide_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(wide_data, run, "--random-labels") == 0
    assert "labels drawn at random" in capsys.readouterr().err
    assert train(wide_data, run) == 2
    assert "rows differ" in capsys.readouterr().err
