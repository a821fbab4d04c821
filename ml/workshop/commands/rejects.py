"""`python -m ml rejects`: write what a task must refuse as images with a table.

For a task whose network names strangers itself (the body-part model's `something_else`). Only those
of the part `fit` are written, so the part `test` stays unseen; kinds that the task file's
`scope.accepted_kinds` names are left out.
"""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import add_task_options, load_config, load_rows

SUMMARY = "write the images that a task must refuse, for a label of their own"
REJECTS_DIR = Path("var/rejects")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    parser.add_argument("--out", type=Path, default=REJECTS_DIR, help="folder to write to")


def run(options: argparse.Namespace) -> int:
    """Write them, and print the table's path."""
    from ml.workshop.rejects import find_rejects, leave_out_strangers
    from ml.workshop.rejects.files import write_rejects

    config = load_config(options)
    own = load_rows(options, leave_out_strangers(config), ("train",)).examples
    found = find_rejects(config, own, options.data, "fit")
    sys.stdout.write(f"{write_rejects(found, options.out)}\n")
    return 0
