"""`python -m ml tune`: search a task's recipe by its validation figure.

Each trial is a training with other values; what it is judged by is training.monitor of the task
file. A search that was stopped, or whose process died, goes on when it is started again: the trial
it was in from its last epoch, the later ones with the values that they would have had. The test
split is never looked at. The last line printed is the command that trains with the best values.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ml.workshop.commands.options import (
    add_task_options,
    find_task_path,
    load_ready,
    load_rows,
    parse_overrides,
    whole_number,
)
from ml.workshop.progress import Progress
from ml.workshop.quiet import load_keras

if TYPE_CHECKING:
    import optuna

    from ml.workshop.task_config import TaskConfig
    from ml.workshop.tuning.trials import Search

SUMMARY = "search a task's recipe on validation: grid, random or TPE, in one process or many"
STUDIES_DIR = Path("var/tuning")
DEFAULT_TRIALS = 20
METHODS = ("tpe", "random", "grid")
PRUNERS = ("median", "halving", "none")
EPILOG = """\
examples:
  python -m ml tune chest-xray --data ../shared/data --trials 30
  python -m ml tune chest-xray --data ../shared/data --hours 8 --method random
  python -m ml tune chest-xray --data ../shared/data \\
      --grid 'training.learning_rate=[1e-4, 3e-4, 1e-3]' --grid 'model.dropout=[0.2, 0.4]'
  python -m ml tune lung-ct --data ../shared/data --folds 5 --seeds 2 --space my-space.toml
  python -m ml tune chest-xray --data ../shared/data --study night --trials 200 \\
      --storage postgresql+psycopg2://user@host/studies

a space is a file with one table, its names in quotes; ml/tasks/search/chest-xray.toml is one:
  [search]
  "training.learning_rate" = { low = 5e-5, high = 1e-3, log = true }
  "model.dropout" = { low = 0.1, high = 0.5, step = 0.1 }
  "training.average_decay" = { choices = [0.0, 0.99, 0.997] }

several workers:
  Start the same command several times: the processes share the study. On several machines they
  need a --storage that all of them reach. What finishes first then depends on the machines, so
  tpe draws other values than one process would.

which method:
  tpe     draws ten points at random, then where the finished trials were good
  random  draws every point without regard to the others
  grid    tries every combination, in a random order: --trials may end it

what is written into var/tuning/<study>/:
  report.html   trials, importance of each entry, parallel coordinates; the pictures also as PNG
  trials.csv    every trial with its values, and why it failed if it did
  best.toml     the best values
  trials/       the trainings; only the best trial's networks are kept

The best of many trials looks better than it is: train it with other seeds (python -m ml seeds).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    parser.add_argument(
        "--space", type=Path, help="what is searched; by default ml/tasks/search/<task>.toml"
    )
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="SECTION.ENTRY=[VALUES]",
        help="an entry with the values to try; without --space, alone",
    )
    parser.add_argument("--method", choices=METHODS, help="grid with --grid alone, otherwise tpe")
    parser.add_argument(
        "--trials",
        type=whole_number(1, 100_000),
        help=f"trials of the study, all workers together; {DEFAULT_TRIALS} without --hours or grid",
    )
    parser.add_argument(
        "--hours", type=float, help="this worker's time; the trial it is in then is put back"
    )
    parser.add_argument(
        "--pruner",
        choices=PRUNERS,
        default="median",
        help="which trials end early: worse than the median of the others (the default), not among "
        "the best third, or none",
    )
    parser.add_argument(
        "--folds",
        type=whole_number(0, 100),
        default=0,
        help="judge each trial by the mean of so many group folds of train and val; 0: by val",
    )
    parser.add_argument(
        "--seeds",
        type=whole_number(1, 100),
        default=1,
        help="trainings a trial, one per seed: their mean counts",
    )
    parser.add_argument("--study", help="name of the study; other choices need another")
    parser.add_argument("--storage", help="database URL; by default a file in the study's folder")
    parser.add_argument("--out", type=Path, default=STUDIES_DIR, help="folder of the studies")


def run(options: argparse.Namespace) -> int:
    """Search, write the report, and print how to train with the best values."""
    config = load_ready(options)
    load_keras()
    from ml.workshop.tuning.report import join_command, write_report
    from ml.workshop.tuning.search import best_overrides, list_trials, run_study
    from ml.workshop.tuning.space import write_overrides

    search = _make_search(options, config)
    name = options.study or f"{config.task}-{search.digest[:12]}"
    folder = options.out / name
    command = _train_command(options)
    with Progress(search.count_trials() or 0, name, unit="trial") as bar:

        def show(study: "optuna.Study") -> None:
            bar.move_to(sum(trial.state.is_finished() for trial in list_trials(study)))

        study = run_study(search, folder, name, storage=options.storage, on_trial=show)
    page = write_report(search, study, folder, command=command)
    best = best_overrides(study)
    sys.stdout.write(f"{page}\n{join_command(command, write_overrides(best))}\n")
    return 0


def _make_search(options: argparse.Namespace, config: "TaskConfig") -> "Search":
    """The search that the options describe, checked: nothing is trained for a wrong name."""
    from ml.workshop.tuning.space import check_space, find_space, read_space
    from ml.workshop.tuning.trials import Search, make_parts

    path, overrides = find_task_path(options), parse_overrides(options.set)
    shipped = None if options.grid else find_space(config.task)
    space = read_space(options.space or shipped, options.grid, config)
    check_space(space, path, overrides)
    method = options.method or ("grid" if options.grid and not options.space else "tpe")
    is_bounded = options.trials is not None or options.hours is not None or method == "grid"
    dataset = load_rows(options, config)
    search = Search(
        path=path,
        overrides=overrides,
        space=space,
        parts=make_parts(config, dataset, folds=options.folds, seeds=options.seeds),
        method=method,
        pruner=options.pruner,
        trials=options.trials if is_bounded else DEFAULT_TRIALS,
        hours=options.hours,
    )
    search.count_trials()
    return search


def _train_command(options: argparse.Namespace) -> list[str]:
    """The words that train the task as it is, with the overrides given here."""
    words = ["python", "-m", "ml", "train", options.task, "--data", str(options.data)]
    return [*words, *(word for pair in options.set for word in ("--set", pair))]
