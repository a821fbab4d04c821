"""`python -m ml new-task`: a task file to begin with, from the images that lie there.

Labels come from the table or the folders, colour, size and modality from some of the images.
All else stays with the recipe (ml/recipe.toml) until the file says it.
"""

import argparse
import shlex
import sys
from pathlib import Path

from ml.workshop.commands.options import add_data_options

SUMMARY = "write a short task file for a table or folders of images of your own"
EPILOG = """\
examples:
  python -m ml new-task gout --data scans/                         folders named after labels
  python -m ml new-task gout --data labels.csv --root scans/       a table of path and label
  python -m ml new-task gout --data labels.csv --normal clear --like chest-xray
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", help="the task's name: small letters, digits and hyphens")
    add_data_options(parser)
    parser.add_argument("--normal", default="", help="the label that means nothing was found")
    parser.add_argument("--like", default="", metavar="TASK", help="take another task's choices")
    parser.add_argument("--out", type=Path, help="the file; NAME.toml here by default")


def run(options: argparse.Namespace) -> int:
    """Write the file, and print its path and the commands that come next."""
    from ml.workshop.task_config import load_task
    from ml.workshop.task_drafts import draft_task, look_at

    path = options.out or Path(f"{options.name}.toml")
    found = look_at(options.data, options.root)
    text = draft_task(options.name, found, normal=options.normal, like=options.like)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise SystemExit(f"new-task: {path}: {error.strerror}") from error
    load_task(path)
    for note in found.notes:
        sys.stderr.write(f"warning: {note}\n")
    words = [str(path), "--data", str(options.data)]
    words += ["--root", str(options.root)] if options.root else []
    sys.stdout.write(f"{path}\nnext:\n")
    for command in ("check", "audit-data", "train", "export"):
        sys.stdout.write(f"  python -m ml {shlex.join([command, *words])}\n")
    return 0
