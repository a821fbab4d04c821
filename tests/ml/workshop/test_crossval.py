"""Folds by group, whole cross-validations of very small networks, and averaged weights."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ml.errors import DataInvalid, RunMismatch, SoupInvalid
from ml.workshop.cli import main
from ml.workshop.commands.options import parse_overrides
from ml.workshop.datasets import Example, load_dataset
from ml.workshop.evaluation.crossval_record import NETWORK, find_record
from ml.workshop.evaluation.scoring import decide_labels
from ml.workshop.openings import read_openings
from ml.workshop.task_config import TaskConfig, find_task, load_task
from ml.workshop.training.network import build_network
from ml.workshop.training.recipe import claim_run
from ml.workshop.tuning.crossval import Answers
from ml.workshop.tuning.crossval_report import summarise
from ml.workshop.tuning.folds import assign_folds, count_groups, find_weaknesses, make_folds
from ml.workshop.tuning.soup import make_soup
from tests.ml.conftest import ALONE, ALONE_SET, load_chest
from tests.ml.pictures import write_dataset
from tests.ml.workshop.searches import make_rows
from tests.ml.workshop.test_tuning import SMALL

pytestmark = pytest.mark.usefixtures("few_rejects")

CHEST = find_task("chest-xray")
GROUPS = {"normal": 15, "pneumonia": 12, "tuberculosis": 6}
# A backbone without weights of its own whose bundle is quickly made.
RESIDUAL = (
    *ALONE,
    'model.backbone="residual"',
    "model.width=0.1",
    'model.weights="none"',
    "input.size=32",
    "training.epochs=1",
    "scope.max_validation_refusal=0.5",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("pictures"))


def test_assign_folds_keeps_groups_whole_and_every_label_in_every_fold() -> None:
    examples = make_rows(GROUPS, images=3).examples
    folds = assign_folds(examples, 3, seed=7)
    assert len({(row.group, fold) for row, fold in zip(examples, folds, strict=True)}) == 33
    assert count_groups(examples, folds, 3) == {
        "normal": [5, 5, 5],
        "pneumonia": [4, 4, 4],
        "tuberculosis": [2, 2, 2],
    }
    assert (folds == assign_folds(examples, 3, seed=7)).all()


def test_assign_folds_spreads_the_real_lung_groups_evenly(shared: Path) -> None:
    config = load_task(find_task("lung-ct"))
    examples = load_dataset(shared / "data", config.data).examples
    table = count_groups(examples, assign_folds(examples, 5, seed=7), 5)
    assert set(table) == {"benign", "malignant", "normal"}
    assert all(min(counts) >= 4 for counts in table.values())


def test_assign_folds_refuses_when_there_are_fewer_groups_than_folds() -> None:
    with pytest.raises(DataInvalid, match="3 groups"):
        assign_folds(make_rows({"normal": 2, "pneumonia": 1}).examples, 5, seed=7)


def test_make_folds_holds_each_row_out_once_and_validates_by_group() -> None:
    dataset = make_rows(GROUPS)
    folds = list(make_folds(dataset, 3, seed=7))
    held = [example.name for fold in folds for example in fold.held_out]
    assert sorted(held) == sorted(example.name for example in dataset.examples)
    for fold in folds:
        sides = [fold.dataset.of_split("train"), fold.dataset.of_split("val"), fold.held_out]
        groups = [{example.group for example in side} for side in sides]
        assert sum(map(len, groups)) == 33
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        assert all({example.label for example in side} == set(GROUPS) for side in sides)


def test_find_weaknesses_names_rare_labels_and_mixed_groups() -> None:
    examples = list(make_rows({"normal": 6, "pneumonia": 2}).examples)
    assert find_weaknesses(examples, 2) == []
    (rare,) = find_weaknesses(examples, 3)
    assert "pneumonia has only 2 groups for 3 folds" in rare
    joined = [*examples, dataclasses.replace(examples[0], label="pneumonia")]
    assert "1 groups hold several labels" in find_weaknesses(joined, 2)[0]


def test_decide_labels_prefers_the_disease_that_reaches_its_threshold() -> None:
    data = load_chest().data
    scores = np.array([[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.2, 0.35, 0.45]])
    thresholds = {"pneumonia": 0.25, "tuberculosis": 0.5}
    given = decide_labels(scores, data.labels, data.normal_label, thresholds)
    assert given.tolist() == [1, 0, 1]


def make_answers(scores: np.ndarray, others: np.ndarray) -> Answers:
    """Answers of two seeds with the same scores, in three folds, beside one baseline."""
    examples = make_rows(GROUPS).examples
    labels = load_chest().data.labels
    return Answers(
        examples=examples,
        targets=np.array([labels.index(example.label) for example in examples]),
        folds=np.arange(len(examples)) // 2 % 3,
        seeds=(7, 8),
        probabilities=np.stack([scores, scores]),
        given=np.stack([scores.argmax(axis=1)] * 2),
        baselines={"thumbnails": others},
        runs=(),
    )


def test_summarise_finds_a_difference_when_there_is_one_and_none_otherwise() -> None:
    config, rng = load_chest(), np.random.default_rng(5)
    targets = make_answers(np.zeros((66, 3)), np.zeros((66, 3))).targets
    noise = rng.dirichlet(np.ones(3), 66)
    good = 0.4 * noise + 0.6 * np.eye(3)[targets]
    found = summarise(config, make_answers(good, noise), has_ensemble=False, resamples=200)
    assert found.pooled[NETWORK]["accuracy"].value > 0.9
    assert found.differences["thumbnails"]["accuracy"].low > 0.2
    assert len(found.folds[NETWORK]["macro_auc"].values) == 6
    same = summarise(config, make_answers(noise, noise), has_ensemble=False, resamples=200)
    for metric in same.differences["thumbnails"].values():
        assert metric.value == metric.low == metric.high == 0


def test_summarise_ranks_whole_series_and_one_bad_slice_does_not_decide() -> None:
    config = load_task(find_task("head-ct"))
    ill = [patient < 6 for patient in range(16) for _ in range(8)]
    shows = [ill[row] and row % 8 in (3, 4) for row in range(128)]
    examples = tuple(
        Example(
            path=Path(f"{row}.png"),
            name=f"{row}.png",
            label=config.data.labels[shows[row]],
            set_label=config.data.labels[shows[row]],
            source="ct-ich",
            group=f"p{row // 8}",
            split="train",
            population="",
            facts={"order": str(100 - row % 8)},
        )
        for row in range(128)
    )
    # A healthy patient's most certain slice stands alone; the ill have two that are less certain.
    disease = np.where(shows, 0.8, np.where(np.arange(128) % 8 == 6, 0.99, 0.1))
    scores = np.stack([1 - disease, disease], axis=1)
    blind = np.full((128, 2), 0.5)
    answers = Answers(
        examples=examples,
        targets=np.array(shows, np.int64),
        folds=np.arange(128) // 8 % 3,
        seeds=(7, 8),
        probabilities=np.stack([scores, scores]),
        given=np.stack([scores.argmax(axis=1)] * 2),
        baselines={"thumbnails": blind},
        runs=(),
    )

    found = summarise(config, answers, has_ensemble=False, resamples=200)

    whole = found.pooled[NETWORK]["series_auc"]
    assert (whole.value, whole.images, whole.groups) == (1, 16, 6)
    assert 0.5 < whole.low < 1  # six patients, whatever a resample says
    assert found.pooled["thumbnails"]["series_auc"].value == 0.5
    assert found.differences["thumbnails"]["series_auc"].value == 0.5
    assert found.pooled[NETWORK]["macro_auc"].value < 1


def weights_file(folder: Path, config: TaskConfig) -> Path:
    """First weights for the frozen baseline: those of a network that was never trained."""
    path = folder / "first.keras"
    build_network(config).save(path)
    return path


@pytest.mark.slow
def test_crossval_command_tunes_inside_folds_and_trains_nothing_twice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = weights_file(tmp_path, load_chest(parse_overrides(SMALL)))
    space = tmp_path / "space.toml"
    space.write_text('[search]\n"model.dropout" = { choices = [0.2] }\n')
    pairs = (*SMALL, f'model.weights="{weights}"')
    arguments = ["crossval", "chest-xray", *ALONE_SET, "--data", str(data)]
    arguments += [word for pair in pairs for word in ("--set", pair)]
    arguments += ["--folds", "2", "--splits", "train,val,test", "--baseline"]
    arguments += ["--nested", str(space), "--trials", "1", "--out", "cv", "--bundles", "bundles"]
    arguments += ["--record"]
    assert main(arguments) == 0
    assert "groups with tuberculosis by fold: 5 5" in capsys.readouterr().out
    figures = json.loads(Path("cv/crossval.json").read_text())
    assert {"network", "thumbnails", "frozen backbone"} < set(figures["pooled"])
    assert set(figures["differences"]) == {"thumbnails", "frozen backbone"}
    record = find_record(Path("bundles/chest-xray"), figures["recipe"])
    assert record is not None
    assert (record.folds, record.splits, record.images) == (2, ("train", "val", "test"), 30)
    assert record.choices["training.epochs"] == "1"
    pooled = figures["pooled"]["network"]["accuracy"]["value"]
    assert record.list_figures()["crossval.accuracy"].value == pooled
    above = pooled - figures["pooled"]["frozen backbone"]["accuracy"]["value"]
    found = record.list_figures()["crossval.accuracy.above_frozen"]
    assert found.value == pytest.approx(above)
    assert [run["overrides"] for run in figures["runs"]] == [{"model.dropout": 0.2}] * 2
    with Path("cv/oof_predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["path"] for row in rows}) == 30
    for row in rows:
        assert sum(float(row[name]) for name in load_chest().data.labels) == pytest.approx(
            1, abs=1e-3
        )
    assert len(read_openings(Path("bundles/chest-xray"))) == 1
    networks = {path: path.stat().st_mtime_ns for path in Path("cv").rglob("best.keras")}
    first = Path("cv/crossval.json").read_bytes()
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in Path("cv").rglob("best.keras")} == networks
    assert Path("cv/crossval.json").read_bytes() == first
    assert len(read_openings(Path("bundles/chest-xray"))) == 1
    assert main([*arguments, "--folds", "3"]) == 2
    assert RunMismatch.code in capsys.readouterr().err


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that differ a little, as two seeds do, and one that went wrong."""
    folder = tmp_path_factory.mktemp("runs")
    keras.utils.set_random_seed(3)
    config = load_chest(parse_overrides(RESIDUAL))
    network = build_network(config)
    start, rng = network.get_weights(), np.random.default_rng(1)
    paths = [folder / name for name in ("first", "second", "broken")]
    seeds = config.training.seeds
    for path, noise, seed in zip(paths, (0.0, 0.01, 0.0), seeds, strict=True):
        changed = [one + noise * rng.normal(size=one.shape) * one.std() for one in start]
        if path.name == "broken":
            changed[-1] = np.array([80.0, -80.0, 0.0])
        network.set_weights(changed)
        save_run(network, config.with_seed(seed), data, path)
    return paths


def save_run(network: Any, config: TaskConfig, data: Path, path: Path) -> None:
    claim_run(config, load_dataset(data, config.data), path)
    network.save(path / "best.keras")
    (path / "state.json").write_text('{"epoch": 1, "best_epoch": 1, "best_score": -1.0}')
    columns = "epoch,loss,accuracy,val_loss,val_accuracy"
    (path / "history.csv").write_text(f"{columns}\n1,1.0,0.5,1.0,0.5\n")


def load_weights(run: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = keras.saving.load_model(run / "best.keras").get_weights()
    return weights


def test_make_soup_averages_every_weight_when_it_is_uniform(
    data: Path, runs: list[Path], tmp_path: Path
) -> None:
    config = load_chest(parse_overrides(RESIDUAL))
    dataset = load_dataset(data, config.data)
    soup = make_soup(config, dataset, runs[:2], tmp_path / "soup", kind="uniform")
    assert sorted(soup.taken) == sorted(map(str, runs[:2]))
    pairs = zip(load_weights(runs[0]), load_weights(runs[1]), strict=True)
    for mixed, (first, second) in zip(load_weights(tmp_path / "soup"), pairs, strict=True):
        np.testing.assert_allclose(mixed, (first + second) / 2, rtol=1e-5, atol=1e-7)


def test_soup_command_leaves_a_bad_run_out_and_export_takes_the_result(
    data: Path, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = ["chest-xray", "--data", str(data)]
    task += [word for pair in RESIDUAL for word in ("--set", pair)]
    names = [str(run) for run in reversed(runs)]
    assert main(["soup", "chest-xray", *names, *task[1:], "--out", str(tmp_path / "soup")]) == 0
    assert f"{runs[2]}: " in capsys.readouterr().out
    record = json.loads((tmp_path / "soup" / "soup.json").read_text())
    assert str(runs[2]) not in record["taken"]
    assert record["loss"] <= min(member["loss"] for member in record["offered"]) + 1e-9
    assert {len(member["sha256"]) for member in record["offered"]} == {64}
    (tmp_path / "bundles").mkdir()
    places = ["--run", str(tmp_path / "soup"), "--out", str(tmp_path / "bundles")]
    assert main(["export", *task, *places]) == 0
    (path,) = (tmp_path / "bundles" / "chest-xray").glob("*/manifest.json")
    assert json.loads(path.read_text())["training"]["averaged"] == len(record["taken"])


def test_make_soup_refuses_when_the_runs_do_not_go_together(
    data: Path, runs: list[Path], tmp_path: Path
) -> None:
    wider = load_chest(parse_overrides((*RESIDUAL, "model.width=0.2")))
    config = load_chest(parse_overrides(RESIDUAL))
    dataset = load_dataset(data, config.data)
    save_run(build_network(wider), wider, data, tmp_path / "wider")
    shutil.copytree(runs[0], tmp_path / "taken")
    empty = tmp_path / "empty"
    empty.mkdir()
    for members in ([runs[0]], [runs[0], tmp_path / "wider"], [runs[0], empty]):
        with pytest.raises(SoupInvalid):
            make_soup(config, dataset, members, tmp_path / "soup", kind="greedy")
    with pytest.raises(RunMismatch):
        make_soup(config, dataset, runs[:2], tmp_path / "taken", kind="greedy")
    longer = load_chest(parse_overrides((*RESIDUAL, "training.epochs=2")))
    with pytest.raises(RunMismatch, match="config"):
        make_soup(longer, dataset, runs[:2], tmp_path / "soup", kind="greedy")
    assert not (tmp_path / "soup").exists()
