"""What a search leaves to be read: the table of trials, the best values, pictures and a page."""

import csv
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from ml.workshop.tuning.fitting import is_loss
from ml.workshop.tuning.plots import plot_history, plot_importance, plot_parallel
from ml.workshop.tuning.search import ATTEMPT, FOLDER, LOCK, REASON, TRIALS, find_best, list_trials
from ml.workshop.tuning.space import tidy_point, write_overrides
from ml.workshop.tuning.trials import Search
from ml.workshop.tuning.workers import hold_lock

TABLE = "trials.csv"
BEST_VALUES = "best.toml"
PAGE = "report.html"
PICTURES = {
    "history": "history.png",
    "importance": "importance.png",
    "parallel": "parallel.png",
}
TEMPLATE = Path(__file__).with_name("report.html")
FIXED_COLUMNS = ("number", "state", "value", "steps", "started", "seconds")


def write_report(
    search: Search, study: optuna.Study, folder: Path, *, command: Sequence[str]
) -> Path:
    """Write table, values, pictures and page into the study's folder; returns the page's path.

    `command` is what trains the task without the best values, as the words of a command line.
    """
    with hold_lock(folder / LOCK):
        trials = list_trials(study)
        rows = [_describe(trial, search) for trial in trials]
        columns = [*FIXED_COLUMNS, *search.space.distributions, "folder", "reason"]
        with (folder / TABLE).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        pictures = _draw(search, study, trials, folder)
        page = _render(search, study, rows, columns, pictures, command, folder)
        (folder / PAGE).write_text(page)
    return folder / PAGE


def _describe(trial: FrozenTrial, search: Search) -> dict[str, Any]:
    started, ended = trial.datetime_start, trial.datetime_complete
    seconds = round((ended - started).total_seconds(), 1) if started and ended else ""
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": "" if not trial.values else round(trial.values[0], 6),
        "steps": len(trial.intermediate_values),
        "started": started.isoformat(timespec="seconds") if started else "",
        "seconds": seconds,
        **dict.fromkeys(search.space.distributions, ""),
        **tidy_point(trial.params),
        "folder": f"{TRIALS}/{trial.user_attrs[FOLDER]}" if FOLDER in trial.user_attrs else "",
        "reason": _explain(trial),
    }


def _explain(trial: FrozenTrial) -> str:
    """Why a trial failed, if it did."""
    if REASON in trial.user_attrs or trial.state != TrialState.FAIL:
        return str(trial.user_attrs.get(REASON, ""))
    return f"its process died {trial.user_attrs.get(ATTEMPT, 1)} times"


def _draw(
    search: Search, study: optuna.Study, trials: Sequence[FrozenTrial], folder: Path
) -> dict[str, str]:
    """The pictures that there are enough trials for, by kind."""
    monitor = search.configure({}).training.monitor
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    plot_history(trials, study, monitor, folder / PICTURES["history"])
    drawn = {"history": PICTURES["history"]}
    if importance := measure_importance(study):
        plot_importance(importance, folder / PICTURES["importance"])
        drawn["importance"] = PICTURES["importance"]
    if complete:
        path = folder / PICTURES["parallel"]
        plot_parallel(complete, search.space.distributions, study, monitor, path)
        drawn["parallel"] = PICTURES["parallel"]
    return drawn


def measure_importance(study: optuna.Study) -> dict[str, float]:
    """Share of the variance between complete trials by entry (fANOVA, Hutter et al. 2014).

    Empty when there is nothing to explain: under two trials, or all of the same value.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def _render(
    search: Search,
    study: optuna.Study,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    pictures: Mapping[str, str],
    command: Sequence[str],
    folder: Path,
) -> str:
    config = search.configure({})
    best = find_best(study)
    lines: list[str] = []
    if best:
        lines = write_overrides(tidy_point(best.params))
        (folder / BEST_VALUES).write_text("\n".join(lines) + "\n")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    counts = Counter(str(row["state"]) for row in rows)
    return environment.from_string(TEMPLATE.read_text()).render(
        study=study.study_name,
        task=config.title,
        monitor=config.training.monitor,
        less_is_better=is_loss(config.training.monitor),
        parts=len(search.parts),
        counts=", ".join(f"{count} {state}" for state, count in sorted(counts.items())),
        best=best,
        overrides="\n".join(lines),
        command=join_command(command, lines),
        pictures=pictures,
        columns=columns,
        rows=rows,
    )


def join_command(command: Sequence[str], overrides: Sequence[str]) -> str:
    """The command line that trains with these values, ready to be pasted into a shell."""
    words = [*command, *(word for line in overrides for word in ("--set", line))]
    return shlex.join(words)
