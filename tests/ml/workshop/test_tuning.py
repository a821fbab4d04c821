"""Searches of a recipe: spaces, budgets, pruning, workers that die, and what is left to be read."""

import csv
import math
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest

from ml.errors import (
    DataInvalid,
    RunMismatch,
    SearchSpaceInvalid,
    StudyWithoutResult,
)
from ml.workshop.cli import main
from ml.workshop.commands.options import parse_overrides
from ml.workshop.datasets import Dataset, load_dataset
from ml.workshop.task_config import TaskConfig
from ml.workshop.tuning.fitting import fit_network
from ml.workshop.tuning.report import write_report
from ml.workshop.tuning.search import best_overrides, list_trials, run_study
from ml.workshop.tuning.trials import make_parts
from tests.ml.conftest import ALONE_SET, load_chest
from tests.ml.pictures import write_dataset
from tests.ml.workshop.searches import (
    BEST_RATE,
    follow_curve,
    make_rows,
    make_search,
)

SMALL = (
    'model.backbone="cnn5-64"',
    "model.width=0.05",
    'model.weights="none"',
    "input.size=64",
    "training.epochs=1",
    "training.batch_size=6",
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_rows({"normal": 12, "pneumonia": 12, "tuberculosis": 12})


def test_run_study_tries_every_point_of_a_grid_once_and_finds_the_best(
    dataset: Dataset, tmp_path: Path
) -> None:
    study = run_study(make_search(dataset), tmp_path / "study", "grid")
    points = [tuple(trial.params.values()) for trial in study.get_trials()]
    assert len(points) == len(set(points)) == 6
    assert best_overrides(study) == {"training.learning_rate": BEST_RATE, "model.dropout": 0.1}


def test_run_study_tries_nothing_again_when_it_is_started_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    first = run_study(make_search(dataset, trials=4), tmp_path / "study", "grid")
    assert len(list_trials(first)) == 6
    assert sum(trial.state.is_finished() for trial in list_trials(first)) == 4
    again = run_study(make_search(dataset), tmp_path / "study", "grid")
    assert [trial.state.name for trial in again.get_trials()] == ["COMPLETE"] * 6


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_run_study_stops_hopeless_trials_early(
    dataset: Dataset, tmp_path: Path, pruner: str
) -> None:
    rates = [1e-3] * 6 + [0.1, 1.0]
    pairs = (f"training.learning_rate={sorted(set(rates))}", "model.dropout=[0.1, 0.2, 0.3, 0.4]")
    search = make_search(dataset, *pairs, pruner=pruner)
    study = run_study(search, tmp_path / "study", "pruned")
    pruned = [one for one in study.get_trials() if one.state == optuna.trial.TrialState.PRUNED]
    assert pruned
    assert all(len(one.intermediate_values) < 4 for one in pruned)
    assert best_overrides(study)["training.learning_rate"] == BEST_RATE


def test_run_study_works_on_a_database_as_on_its_journal(dataset: Dataset, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'new' / 'study.db'}"
    study = run_study(make_search(dataset), tmp_path / "study", "grid", storage=storage)
    assert best_overrides(study)["training.learning_rate"] == BEST_RATE
    assert (tmp_path / "new" / "study.db").is_file()


def test_run_study_judges_by_the_mean_of_folds_and_seeds(dataset: Dataset, tmp_path: Path) -> None:
    search = make_search(dataset, "training.learning_rate=[1e-3]", folds=3, seeds=2)
    (trial,) = run_study(search, tmp_path / "study", "folds").get_trials()
    assert [part.name for part in search.parts[:3]] == [
        "fold-0-seed-7",
        "fold-0-seed-8",
        "fold-1-seed-7",
    ]
    assert trial.value == pytest.approx(0.03 + 1 / 4 + 7.5 / 1000)
    assert sorted(trial.intermediate_values) == list(range(1, 6 * 4 + 1))


def test_run_study_refuses_when_the_study_was_begun_with_other_choices(
    dataset: Dataset, tmp_path: Path
) -> None:
    run_study(make_search(dataset, trials=1), tmp_path / "study", "one")
    others = (
        make_search(dataset, "training.learning_rate=[0.5]"),
        make_search(make_rows({"normal": 10, "pneumonia": 10}), trials=1),
    )
    for other in others:
        with pytest.raises(RunMismatch):
            run_study(other, tmp_path / "study", "one")


def test_run_study_notes_the_reason_and_goes_on_when_a_trial_fails(
    dataset: Dataset, tmp_path: Path
) -> None:
    def diverge(config: TaskConfig, rows: Dataset, run: Path, **options: Any) -> Path:
        if config.training.learning_rate > BEST_RATE:
            options["on_epoch"](1, {"robust_loss": math.nan})
        return follow_curve(config, rows, run, **options)

    search = make_search(dataset, train=diverge)
    study = run_study(search, tmp_path / "study", "diverging")
    states = [trial.state.name for trial in study.get_trials()]
    assert sorted(states) == ["COMPLETE"] * 4 + ["FAIL"] * 2
    write_report(search, study, tmp_path / "study", command=["train"])
    with (tmp_path / "study" / "trials.csv").open(newline="") as stream:
        reasons = [row["reason"] for row in csv.DictReader(stream) if row["state"] == "fail"]
    assert len(reasons) == 2
    assert all("diverged in epoch 1" in reason for reason in reasons)


def test_best_overrides_refuses_when_no_trial_came_to_its_end(
    dataset: Dataset, tmp_path: Path
) -> None:
    study = run_study(make_search(dataset, hours=1e-9), tmp_path / "study", "empty")
    with pytest.raises(StudyWithoutResult):
        best_overrides(study)


def test_make_parts_leaves_the_test_split_out(dataset: Dataset) -> None:
    config = load_chest()
    parts = [*make_parts(config, dataset, folds=0, seeds=1)]
    parts += make_parts(config, dataset, folds=3, seeds=1)
    hidden = {example.name for example in dataset.of_split("test")}
    assert hidden
    for part in parts:
        assert not hidden & {example.name for example in part.dataset.examples}
        assert {example.split for example in part.dataset.examples} == {"train", "val"}


def test_fit_network_refuses_a_dataset_with_test_rows(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid):
        fit_network(load_chest(), dataset, tmp_path / "run", train=follow_curve)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_tune_command_leaves_a_report_and_never_reads_the_test_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "data")
    config = load_chest(parse_overrides(SMALL))
    for example in load_dataset(data, config.data).of_split("test"):
        example.path.unlink()
    overrides = [word for pair in SMALL for word in ("--set", pair)]
    grid = ["--grid", "training.learning_rate=[1e-4, 1e-2]", "--pruner", "none"]
    arguments = ["tune", "chest-xray", *ALONE_SET, "--data", str(data), *overrides, *grid]
    assert main([*arguments, "--out", str(tmp_path / "studies"), "--study", "small"]) == 0
    folder = tmp_path / "studies" / "small"
    page = (folder / "report.html").read_text()
    best = tomllib.loads((folder / "best.toml").read_text())
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .endswith(f"--set training.learning_rate={best['training']['learning_rate']}")
    )
    for picture in ("history.png", "importance.png", "parallel.png"):
        assert picture in page
        assert (folder / picture).stat().st_size > 1000
    with (folder / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["training.learning_rate"] for row in rows} == {"0.0001", "0.01"}
    assert {row["state"] for row in rows} == {"complete"}
    assert len(list(folder.rglob("best.keras"))) == 1


def test_tune_command_refuses_a_wrong_name_before_the_first_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "data")
    wrong = ["--grid", "training.learning_rte=[1e-4]", "--out", str(tmp_path / "studies")]
    wrong += ["--set", 'model.weights="none"']
    assert main(["tune", "chest-xray", *ALONE_SET, "--data", str(data), *wrong]) == 2
    assert SearchSpaceInvalid.code in capsys.readouterr().err
    assert not (tmp_path / "studies").exists()
