"""Searches of a recipe: spaces, budgets, pruning, workers that die, and what is left to be read."""

import csv
import math
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from ml.cli import main
from ml.commands.options import parse_overrides
from ml.datasets import Dataset, Example, load_dataset
from ml.errors import (
    DataInvalid,
    RunMismatch,
    SearchSpaceInvalid,
    StudyWithoutResult,
)
from ml.task_config import TaskConfig, find_task, load_task
from ml.training.loop import COLUMNS
from ml.tuning.fitting import fit_network, read_history
from ml.tuning.report import write_report
from ml.tuning.space import read_space
from ml.tuning.study import best_overrides, list_trials, run_study
from ml.tuning.trials import Search, make_parts
from ml.tuning.workers import Worker
from tests.ml.pictures import write_dataset

CHEST = find_task("chest-xray")
SMALL = (
    'model.backbone="cnn5-64"',
    "model.width=0.05",
    'model.weights="none"',
    "input.size=64",
    "training.epochs=1",
    "training.batch_size=6",
)
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


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_rows({"normal": 12, "pneumonia": 12, "tuberculosis": 12})


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
    config = load_task(CHEST, overrides=OVERRIDES)
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


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_run_study_draws_the_same_values_when_it_was_interrupted(
    dataset: Dataset, tmp_path: Path, method: str
) -> None:
    space = write_space(
        tmp_path, '"training.learning_rate" = { low = 1e-5, high = 1e-1, log = true }'
    )
    config = load_task(CHEST, overrides=OVERRIDES)

    def search(trials: int) -> Search:
        parts = make_parts(config, dataset, folds=0, seeds=1)
        ranged = read_space(space, [], config)
        return Search(CHEST, OVERRIDES, ranged, parts, method, "none", trials, train=follow_curve)

    whole = run_study(search(13), tmp_path / "whole", "study")
    run_study(search(5), tmp_path / "halves", "study")
    halves = run_study(search(13), tmp_path / "halves", "study")
    drawn = [trial.params for trial in whole.get_trials()]
    assert [trial.params for trial in halves.get_trials()] == drawn
    assert len({tuple(params.values()) for params in drawn}) == 13


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


def test_run_study_puts_the_trial_back_when_its_time_is_over(
    dataset: Dataset, tmp_path: Path
) -> None:
    stopped = run_study(make_search(dataset, hours=1e-9), tmp_path / "study", "timed")
    assert not any(trial.state.is_finished() for trial in list_trials(stopped))
    study = run_study(make_search(dataset), tmp_path / "study", "timed")
    assert [trial.state.name for trial in list_trials(study)] == ["COMPLETE"] * 6


def test_run_study_goes_on_with_the_epochs_of_an_interrupted_trial(
    dataset: Dataset, tmp_path: Path
) -> None:
    epochs: list[int] = []

    def stop_once(config: TaskConfig, rows: Dataset, run: Path, **options: Any) -> Path:
        report = options.pop("on_epoch")

        def on_epoch(epoch: int, row: dict[str, float]) -> None:
            epochs.append(epoch)
            report(epoch, row)
            if len(epochs) == 2:
                raise KeyboardInterrupt

        return follow_curve(config, rows, run, on_epoch=on_epoch)

    search = make_search(dataset, "training.learning_rate=[1e-3]", train=stop_once)
    with pytest.raises(KeyboardInterrupt):
        run_study(search, tmp_path / "study", "stopped")
    study = run_study(search, tmp_path / "study", "stopped")
    assert epochs == [1, 2, 3, 4]
    (trial,) = list_trials(study)
    assert sorted(trial.intermediate_values) == [1, 2, 3, 4]
    assert trial.value == pytest.approx(0.01 * 3 + 1 / 4 + 7 / 1000)


WAITING = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.ml import test_tuning as tuning

def wait(config, rows, run, *, on_epoch=None, **options):
    def report(epoch, row):
        on_epoch(epoch, row)
        while epoch == 2:
            time.sleep(1)
    return tuning.follow_curve(config, rows, run, on_epoch=report)

rows = tuning.make_rows({{"normal": 12, "pneumonia": 12, "tuberculosis": 12}})
tuning.run_study(tuning.make_search(rows, train=wait), Path({folder!r}), "shared")
"""


@pytest.mark.slow
def test_run_study_leaves_a_trial_to_its_process_until_that_is_killed(
    dataset: Dataset, tmp_path: Path
) -> None:
    folder, search = tmp_path / "study", make_search(dataset)
    script = WAITING.format(root=str(Path(__file__).parents[2]), folder=str(folder))

    def await_the_other(study: optuna.Study) -> None:
        while other.poll() is None and not any(
            trial.intermediate_values for trial in study.get_trials(deepcopy=False)
        ):
            time.sleep(0.05)

    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as other:
        study = run_study(search, folder, "shared", on_trial=await_the_other)
        states = [trial.state.name for trial in study.get_trials()]
        other.kill()
    assert sorted(states) == ["COMPLETE"] * 5 + ["RUNNING"]
    trials = list_trials(run_study(search, folder, "shared"))
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6
    assert len({tuple(trial.params.values()) for trial in trials}) == 6
    (lost,) = [trial for trial in study.get_trials() if trial.state.name == "FAIL"]
    (heir,) = [trial for trial in trials if trial.user_attrs.get("goes_on") == lost.number]
    assert (heir.params, heir.user_attrs["folder"]) == (lost.params, lost.user_attrs["folder"])
    assert len(heir.intermediate_values) == 4
    assert len({trial.user_attrs["worker"] for trial in study.get_trials()}) == 3


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
    config = load_task(CHEST)
    parts = [*make_parts(config, dataset, folds=0, seeds=1)]
    parts += make_parts(config, dataset, folds=3, seeds=1)
    hidden = {example.name for example in dataset.of_split("test")}
    assert hidden
    for part in parts:
        assert not hidden & {example.name for example in part.dataset.examples}
        assert {example.split for example in part.dataset.examples} == {"train", "val"}


def test_fit_network_refuses_a_dataset_with_test_rows(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid):
        fit_network(load_task(CHEST), dataset, tmp_path / "run", train=follow_curve)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_tune_command_leaves_a_report_and_never_reads_the_test_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "data")
    config = load_task(CHEST, overrides=parse_overrides(SMALL))
    for example in load_dataset(data, config.data).of_split("test"):
        example.path.unlink()
    overrides = [word for pair in SMALL for word in ("--set", pair)]
    grid = ["--grid", "training.learning_rate=[1e-4, 1e-2]", "--pruner", "none"]
    arguments = ["tune", "chest-xray", "--data", str(data), *overrides, *grid]
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
    assert main(["tune", "chest-xray", "--data", str(data), *wrong]) == 2
    assert SearchSpaceInvalid.code in capsys.readouterr().err
    assert not (tmp_path / "studies").exists()


def test_is_abandoned_tells_by_silence_when_the_worker_is_of_another_machine(
    tmp_path: Path,
) -> None:
    def make_trial(seen: str) -> optuna.trial.FrozenTrial:
        attributes = {"worker": "elsewhere/abc", "seen": seen}
        running = optuna.trial.TrialState.RUNNING
        return optuna.trial.create_trial(state=running, user_attrs=attributes)

    with Worker(tmp_path) as worker:
        assert worker.is_abandoned(make_trial("2020-01-01T00:00:00+00:00"))
        assert not worker.is_abandoned(make_trial("2999-01-01T00:00:00+00:00"))
    assert not list((tmp_path / "workers").iterdir())
