"""Searches that are stopped, killed or shared: what is put back, and what is drawn afterwards."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from ml.workshop.datasets import Dataset
from ml.workshop.task_config import TaskConfig
from ml.workshop.tuning.search import list_trials, run_study
from ml.workshop.tuning.space import read_space
from ml.workshop.tuning.trials import Search
from ml.workshop.tuning.workers import Worker
from tests.ml.conftest import load_chest
from tests.ml.workshop.searches import OVERRIDES, follow_curve, make_rows, make_search, write_space


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_rows({"normal": 12, "pneumonia": 12, "tuberculosis": 12})


# From the eleventh trial on TPE draws by what the finished ones reached.
@pytest.mark.parametrize("stopped", [3, 11])
@pytest.mark.parametrize("method", ["random", "tpe"])
def test_run_study_draws_the_same_values_when_it_was_interrupted_within_a_trial(
    dataset: Dataset, tmp_path: Path, method: str, stopped: int
) -> None:
    ranges = ('"training.learning_rate" = { low = 1e-5, high = 1e-1, log = true }',)
    ranges += ('"model.dropout" = { low = 0.1, high = 0.5 }',)
    space = read_space(write_space(tmp_path, *ranges), [], load_chest(OVERRIDES))
    begun: list[Path] = []

    def stop_once(config: TaskConfig, rows: Dataset, run: Path, **options: Any) -> Path:
        report = options.pop("on_epoch")
        begun.append(run)

        def on_epoch(epoch: int, row: dict[str, float]) -> None:
            report(epoch, row)
            if len(begun) == stopped + 1 and epoch == 2:
                raise KeyboardInterrupt

        return follow_curve(config, rows, run, on_epoch=on_epoch)

    def search(train: Any, trials: int) -> Search:
        made = make_search(dataset, method=method, trials=trials, train=train)
        return dataclasses.replace(made, space=space)

    whole = run_study(search(follow_curve, 14), tmp_path / "whole", "study")
    with pytest.raises(KeyboardInterrupt):
        run_study(search(stop_once, 14), tmp_path / "parts", "study")
    for trials in (13, 14):
        parts = run_study(search(stop_once, trials), tmp_path / "parts", "study")
    drawn = [(trial.params, trial.value) for trial in list_trials(whole)]
    assert [(trial.params, trial.value) for trial in list_trials(parts)] == drawn
    assert len({tuple(params.values()) for params, _ in drawn}) == 14
    # The interrupted one went on where it was, and nothing else was begun twice.
    assert len(begun) == 15
    assert begun[stopped + 1] == begun[stopped]


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
from ml.workshop.tuning.search import run_study
from tests.ml.workshop import searches

def wait(config, rows, run, *, on_epoch=None, **options):
    def report(epoch, row):
        on_epoch(epoch, row)
        while epoch == 2:
            time.sleep(1)
    return searches.follow_curve(config, rows, run, on_epoch=report)

rows = searches.make_rows({{"normal": 12, "pneumonia": 12, "tuberculosis": 12}})
run_study(searches.make_search(rows, train=wait), Path({folder!r}), "shared")
"""


@pytest.mark.slow
def test_run_study_leaves_a_trial_to_its_process_until_that_is_killed(
    dataset: Dataset, tmp_path: Path
) -> None:
    folder, search = tmp_path / "study", make_search(dataset)
    script = WAITING.format(root=str(Path(__file__).parents[3]), folder=str(folder))

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
