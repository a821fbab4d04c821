"""`python -m ml crossval`: judge a recipe by group k-fold, beside the baselines.

For data of few patients, where a single test split says little. What is finished is kept in
`var/crossval/…`, so a stopped run goes on with the fold it was in.
"""

import argparse
import dataclasses
import functools
import hashlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ml.workshop.commands.options import (
    BUNDLES_DIR,
    add_task_options,
    find_task_path,
    load_ready,
    load_rows,
    parse_overrides,
    whole_number,
)
from ml.workshop.datasets import SPLITS
from ml.workshop.progress import Progress
from ml.workshop.quiet import load_keras

if TYPE_CHECKING:
    from ml.workshop.datasets import Dataset
    from ml.workshop.task_config import TaskConfig
    from ml.workshop.tuning.crossval import Configure
    from ml.workshop.tuning.folds import Fold

SUMMARY = "judge a task's recipe by group k-fold, with intervals, beside the baselines"
RUNS_DIR = Path("var/crossval")
DEFAULT_TRIALS = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    parser.add_argument("--folds", type=whole_number(2, 100), default=5)
    parser.add_argument(
        "--seeds",
        type=whole_number(1, 100),
        default=1,
        help="networks a fold: so many of `training.seeds`",
    )
    parser.add_argument(
        "--splits",
        type=_parse_splits,
        default=["train", "val"],
        metavar="train,val,test",
        help="whose rows are divided anew; `test` is recorded as a look at the test split",
    )
    parser.add_argument("--nested", type=Path, metavar="SPACE", help="search inside each fold")
    parser.add_argument(
        "--trials",
        type=whole_number(1, 100_000),
        default=DEFAULT_TRIALS,
        help="trials of each search",
    )
    parser.add_argument("--baseline", action="store_true", help="score the baselines too")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of the frozen baseline")
    parser.add_argument("--ensemble", action="store_true", help="score the seeds' mean too")
    parser.add_argument("--out", type=Path, help="folder to write to, or to go on in")
    parser.add_argument(
        "--record",
        action="store_true",
        help="put the figures beside the task's bundles too, as crossval-<recipe>.json, to commit",
    )
    parser.add_argument("--bundles", type=Path, default=BUNDLES_DIR, help="root of the bundles")


def _parse_splits(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SPLITS):
        raise argparse.ArgumentTypeError(f"unknown split {min(unknown)!r}")
    return names


def run(options: argparse.Namespace) -> int:
    """Train and score every fold, write the report and print it."""
    config = load_ready(options)
    loaded = load_rows(options, config, options.splits)
    load_keras()
    from ml.workshop.evaluation.crossval_record import name_record
    from ml.workshop.tuning.crossval import run_folds
    from ml.workshop.tuning.crossval_report import FIGURES, summarise, write_summary
    from ml.workshop.tuning.fitting import list_seeds
    from ml.workshop.tuning.folds import find_weaknesses

    rows = tuple(example for example in loaded.examples if example.split in options.splits)
    dataset = dataclasses.replace(loaded, examples=rows)
    folder = options.out or RUNS_DIR / _name_folder(options, config)
    notes = find_weaknesses(rows, options.folds)
    _announce(config, dataset, options, notes)
    _record_look(config, options, folder)
    seeds = list_seeds(config, options.seeds)
    with Progress(options.folds * len(seeds), config.task, unit="network") as bar:
        answers = run_folds(
            config,
            dataset,
            folder,
            count=options.folds,
            seeds=seeds,
            has_baselines=options.baseline,
            baseline_weights=options.weights,
            configure=_configure_nested(options, config) if options.nested else None,
            on_fold=bar.advance,
        )
    summary = summarise(config, answers, has_ensemble=options.ensemble and len(seeds) > 1)
    choices = parse_overrides(options.set)
    page = write_summary(config, answers, summary, folder, notes=notes, choices=choices)
    if options.record:
        place = options.bundles / config.task / name_record(config.digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / FIGURES, place)
        sys.stdout.write(f"{place}\n")
    sys.stdout.write(f"{page.read_text()}\n{page}\n")
    return 0


def _name_folder(options: argparse.Namespace, config: "TaskConfig") -> str:
    """Other choices get another folder, so that finished folds are never of another recipe."""
    space = options.nested.read_text() if options.nested else ""
    space += f" {options.trials}" if options.nested else ""
    choices = f"{config.digest} {options.folds} {sorted(options.splits)} {space}"
    return f"{config.task}-{hashlib.sha256(choices.encode()).hexdigest()[:12]}"


def _announce(
    config: "TaskConfig", dataset: "Dataset", options: argparse.Namespace, notes: list[str]
) -> None:
    """Say before anything is trained how many groups of each label every fold holds."""
    from ml.workshop.tuning.folds import assign_folds, count_groups

    assignment = assign_folds(dataset.examples, options.folds, seed=config.training.seed)
    table = count_groups(dataset.examples, assignment, options.folds)
    for label, counts in table.items():
        sys.stdout.write(f"groups with {label} by fold: {' '.join(map(str, counts))}\n")
    for note in notes:
        sys.stderr.write(f"warning: {note}\n")


def _record_look(config: "TaskConfig", options: argparse.Namespace, folder: Path) -> None:
    """Note a look at the test split, once for each folder."""
    from ml.workshop.openings import CROSSVAL, record_opening

    if "test" not in options.splits or folder.exists():
        return
    (options.bundles / config.task).mkdir(parents=True, exist_ok=True)
    bundle = options.bundles / config.task / config.version
    record_opening(bundle, split="test", purpose=f"{CROSSVAL} of {options.folds} folds")


def _configure_nested(options: argparse.Namespace, config: "TaskConfig") -> "Configure":
    """A search inside each fold, on its training rows alone; the space is checked at once."""
    from ml.workshop.tuning.search import best_overrides, run_study
    from ml.workshop.tuning.space import check_space, read_space
    from ml.workshop.tuning.trials import Search, make_parts

    path, overrides = find_task_path(options), parse_overrides(options.set)
    space = read_space(options.nested, [], config)
    check_space(space, path, overrides)
    make_search = functools.partial(
        Search, path=path, overrides=overrides, space=space, trials=options.trials
    )

    def configure(
        fold: "Fold", place: Path
    ) -> "tuple[TaskConfig, dict[str, str | float | int | bool]]":
        search = make_search(parts=make_parts(config, fold.dataset, folds=0, seeds=1))
        study = run_study(search, place / "search", f"fold-{fold.number}")
        best = best_overrides(study)
        return search.configure(best), best

    return configure
