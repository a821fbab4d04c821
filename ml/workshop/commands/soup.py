"""`python -m ml soup`: average the networks of runs that differ in their seed."""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import add_task_options, load_config, load_rows
from ml.workshop.quiet import load_keras

SUMMARY = "average the weights of several runs into one network, judged on validation"
KINDS = ("greedy", "uniform")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of the runs")
    parser.add_argument("--out", type=Path, required=True, help="new run folder, for export --run")
    parser.add_argument("--kind", choices=KINDS, default="greedy")


def run(options: argparse.Namespace) -> int:
    """Average, and print what each run and the average reach on validation."""
    config = load_config(options)
    rows = load_rows(options, config)
    load_keras()
    from ml.workshop.tuning.fitting import without_test
    from ml.workshop.tuning.soup import make_soup

    dataset = without_test(rows)
    soup = make_soup(config, dataset, options.runs, options.out, kind=options.kind)
    for member in soup.offered:
        mark = "taken" if member.run in soup.taken else "left out"
        figures = f"log loss {member.loss:.4f}, accuracy {member.accuracy:.4f}"
        sys.stdout.write(f"{member.run}: {figures}, {mark}\n")
    sys.stdout.write(f"average: log loss {soup.loss:.4f}, accuracy {soup.accuracy:.4f}\n")
    sys.stdout.write(f"{options.out}\n")
    return 0
