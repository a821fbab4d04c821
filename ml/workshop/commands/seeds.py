"""`python -m ml seeds`: train one recipe with several seeds, and say how much is luck.

The seeds are `training.seeds` of the task file. A stopped one goes on when the command is given
again. Each seed gets a run folder; give them to
`export --seed-runs` for the spread on the test split, or to `soup` to average them.
"""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import (
    add_task_options,
    load_ready,
    load_rows,
    whole_number,
)
from ml.workshop.quiet import load_keras

SUMMARY = "train a task's recipe with several seeds; mean and spread on validation"
SEEDS_DIR = Path("var/seeds")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    parser.add_argument(
        "--seeds",
        type=whole_number(1, 100),
        help="so many of the task's `training.seeds`; all of them by default",
    )
    parser.add_argument("--out", type=Path, help="folder of the runs, to go on in")


def run(options: argparse.Namespace) -> int:
    """Train, and print each figure's mean and standard deviation, and the runs."""
    config = load_ready(options)
    dataset = load_rows(options, config)
    load_keras()
    from ml.workshop.tuning.fitting import list_seeds
    from ml.workshop.tuning.seeds import run_seeds

    folder = options.out or SEEDS_DIR / f"{config.task}-{config.digest[:12]}"
    found = run_seeds(config, dataset, folder, list_seeds(config, options.seeds))
    for name, mean in found.mean.items():
        sys.stdout.write(f"{name:24} {mean:.4f} ± {found.sd[name]:.4f}\n")
    for path in found.runs.values():
        sys.stdout.write(f"{path}\n")
    return 0
