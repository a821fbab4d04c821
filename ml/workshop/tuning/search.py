"""A search, from its first trial to its last: shared by several workers, gone on after a stop."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from ml.errors import RunMismatch, StudyWithoutResult, TaskConfigInvalid, TrainingDiverged
from ml.workshop.tuning.fitting import drop_networks, is_loss
from ml.workshop.tuning.space import Point, tidy_point
from ml.workshop.tuning.trials import Search, TimeSpent, run_trial
from ml.workshop.tuning.workers import Worker, hold_lock, open_storage

METHODS = ("tpe", "random", "grid")
PRUNERS: dict[str, Callable[[], BasePruner]] = {
    # From the second epoch on: the first says more about the schedule's warm-up than the recipe.
    "median": lambda: MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "halving": lambda: SuccessiveHalvingPruner(min_resource=2, reduction_factor=3),
    "none": NopPruner,
}
TRIALS = "trials"
LOCK = "study.lock"
# User attributes. A trial that goes on after a stop is a new one to Optuna: GOES_ON is the number
# of the one before it, FOLDER is where both keep their trainings.
CHOICES = "choices"
GOES_ON = "goes_on"
FOLDER = "folder"
ATTEMPT = "attempt"
POINT = "point"
REASON = "reason"
# A trial whose process died so often takes it down with it.
MAX_ATTEMPTS = 5

optuna.logging.set_verbosity(optuna.logging.WARNING)


def run_study(
    search: Search,
    folder: Path,
    name: str,
    *,
    storage: str | None = None,
    on_trial: Callable[[optuna.Study], None] | None = None,
) -> optuna.Study:
    """Run trials until the budget is spent, beside other workers that do the same.

    `on_trial` is called before the first trial and after each. Raises RunMismatch when the study
    was begun with another space, other rows or another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = None if search.hours is None else time.monotonic() + search.hours * 3600
    study = _open_study(search, folder, name, storage)
    report = on_trial or (lambda _: None)
    with Worker(folder) as worker:
        report(study)
        while deadline is None or time.monotonic() < deadline:
            trial = _take_trial(search, study, folder, worker)
            if trial is None:
                break
            _finish_trial(search, study, trial, folder, deadline)
            _drop_losers(study, folder)
            report(study)
    return study


def _open_study(search: Search, folder: Path, name: str, storage: str | None) -> optuna.Study:
    config = search.configure({})
    direction: Literal["minimize", "maximize"] = (
        "minimize" if is_loss(config.training.monitor) else "maximize"
    )
    choices = search.describe()
    with hold_lock(folder / LOCK):
        study = optuna.create_study(
            storage=open_storage(storage, folder),
            study_name=name,
            direction=direction,
            pruner=PRUNERS[search.pruner](),
            load_if_exists=True,
        )
        known = study.user_attrs.get(CHOICES)
        if known is None:
            study.set_user_attr(CHOICES, choices)
        elif different := [key for key in choices if known.get(key) != choices[key]]:
            raise RunMismatch(path=f"study {name}", detail=f"{', '.join(different)}")
        if search.method == "grid":
            _fill_grid(search, study, seed=config.training.seed)
    return study


def _fill_grid(search: Search, study: optuna.Study, *, seed: int) -> None:
    """Queue every point of the grid that no trial has, in a random order: a budget may end it."""
    points = search.space.list_grid()
    known = {trial.user_attrs.get(POINT) for trial in study.get_trials(deepcopy=False)}
    for index in np.random.default_rng(seed).permutation(len(points)):
        if int(index) not in known:
            study.enqueue_trial(points[index], user_attrs={POINT: int(index)})


def _take_trial(
    search: Search, study: optuna.Study, folder: Path, worker: Worker
) -> optuna.Trial | None:
    """The next trial, claimed for this worker; None when the budget is spent.

    Through one door at a time, so that workers of one machine together keep to the budget and
    never draw the same point. The sampler is seeded by how many trials there are, not counting one
    twice that was put back: a search of one process that was interrupted draws what it would have
    drawn. Only what halving prunes may differ: it compares with the interrupted trial as well.
    """
    with hold_lock(folder / LOCK):
        _put_back_abandoned(study, worker)
        trials = list_trials(study)
        is_waiting = any(trial.state == TrialState.WAITING for trial in trials)
        started = [one for one in trials if one.state != TrialState.WAITING]
        if search.trials is not None and len(started) >= search.trials:
            return None
        if search.method == "grid" and not is_waiting:
            return None
        seed = search.configure({}).training.seed
        study.sampler = _make_sampler(search.method, seed=seed, number=len(trials))
        trial = study.ask(fixed_distributions=search.space.distributions)
        worker.claim(trial)
        if FOLDER not in trial.user_attrs:
            trial.set_user_attr(FOLDER, f"{trial.number:04}")
        return trial


def _make_sampler(method: str, *, seed: int, number: int) -> BaseSampler:
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return TPESampler(seed=drawn) if method == "tpe" else RandomSampler(seed=drawn)


def _put_back_abandoned(study: optuna.Study, worker: Worker) -> None:
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        if worker.is_abandoned(trial):
            attempt = trial.user_attrs.get(ATTEMPT, 1)
            put_back(study, trial, attempt=attempt + 1)


def put_back(study: optuna.Study, trial: FrozenTrial, *, attempt: int) -> None:
    """Queue an interrupted trial again, to go on from its last epoch, and close this one.

    Queued first: a process that dies in between leaves a successor, never a gap.
    """
    successors = {one.user_attrs.get(GOES_ON) for one in study.get_trials(deepcopy=False)}
    if trial.number not in successors and attempt <= MAX_ATTEMPTS:
        kept = {key: trial.user_attrs[key] for key in (FOLDER, POINT) if key in trial.user_attrs}
        attributes = {**kept, GOES_ON: trial.number, ATTEMPT: attempt}
        study.enqueue_trial(dict(trial.params), user_attrs=attributes)
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _finish_trial(
    search: Search, study: optuna.Study, trial: optuna.Trial, folder: Path, deadline: float | None
) -> None:
    """Run the trial and tell the study how it ended.

    An error that isn't about the trial's own values is raised; the trial is then put back by the
    next worker.
    """
    place = folder / TRIALS / trial.user_attrs[FOLDER]
    failures: tuple[type[Exception], ...] = (TrainingDiverged, TaskConfigInvalid)
    failures += _memory_errors()
    try:
        value = run_trial(search, trial, place, deadline=deadline)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    except optuna.exceptions.UpdateFinishedTrialError:
        # Given up by a worker of another machine, which goes on with it.
        return
    except (TimeSpent, KeyboardInterrupt) as error:
        with hold_lock(folder / LOCK):
            frozen = study.get_trials(deepcopy=False)[trial.number]
            put_back(study, frozen, attempt=trial.user_attrs.get(ATTEMPT, 1))
        if isinstance(error, KeyboardInterrupt):
            raise
    except failures as error:
        trial.set_user_attr(REASON, str(error).splitlines()[0])
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
    else:
        study.tell(trial, value, skip_if_finished=True)


def _memory_errors() -> tuple[type[Exception], ...]:
    """What the engine raises when a trial's batches are too large for the device."""
    if keras.backend.backend() != "tensorflow":
        return (MemoryError,)
    import tensorflow as tf

    return (MemoryError, tf.errors.ResourceExhaustedError)


def _drop_losers(study: optuna.Study, folder: Path) -> None:
    """Remove the networks of finished trials but the best one's: they would fill the disk."""
    best = find_best(study)
    for trial in list_trials(study):
        if trial.state.is_finished() and (best is None or trial.number != best.number):
            drop_networks(folder / TRIALS / trial.user_attrs[FOLDER])


def list_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials without those that another one goes on with."""
    trials = study.get_trials(deepcopy=False)
    replaced = {trial.user_attrs.get(GOES_ON) for trial in trials}
    return [trial for trial in trials if trial.number not in replaced]


def find_best(study: optuna.Study) -> FrozenTrial | None:
    """The best trial that came to its end, if any did."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_trial if finished else None


def best_overrides(study: optuna.Study) -> Point:
    """The best trial's values by `section.entry`; raises StudyWithoutResult."""
    best = find_best(study)
    if best is None:
        raise StudyWithoutResult(study=study.study_name)
    return tidy_point(best.params)
