"""`python -m ml check`: whether a task file, and its data set, can be trained with.

Nothing is trained and no image is decoded: entries, names, bounds, the files that the task names,
the figures of its gate, and with --data the table's lines and whether the images are there. All
that is wrong is told at once.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from ml.workshop.commands.options import add_config_options, load_ready, load_rows

SUMMARY = "check a task file, and with --data its table, before anything is trained"
EPILOG = """\
examples:
  python -m ml check my-task.toml
  python -m ml check my-task.toml --data labels.csv --root scans/
  python -m ml check chest-xray --data ../shared/data --set training.epochs=20
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_config_options(parser)
    parser.add_argument("--data", type=Path, help="folder of the data set, or its table")
    parser.add_argument(
        "--root", type=Path, help="where the paths of the table begin; by default beside it"
    )


def run(options: argparse.Namespace) -> int:
    """Print what the task is and what the data set holds."""
    from ml.workshop.datasets import SPLITS

    config = load_ready(options)
    sys.stdout.write(
        f"{config.task} {config.version}: {len(config.data.labels)} labels, "
        f"{config.model.backbone} at {config.input.size} pixels, {config.input.colour}\n"
    )
    if options.data:
        dataset = load_rows(options, config, SPLITS)
        counts = Counter((row.label, row.split) for row in dataset.examples)
        sys.stdout.write(f"{dataset.origin}\n{'label':24} {' '.join(f'{s:>8}' for s in SPLITS)}\n")
        for label in config.data.labels:
            row = " ".join(f"{counts[label, split]:8}" for split in SPLITS)
            sys.stdout.write(f"{label:24} {row}\n")
    return 0
