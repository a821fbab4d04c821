"""`python -m ml train`: train a task's network into a run folder."""

import argparse
import sys

from ml.commands.options import (
    add_run_option,
    add_task_options,
    find_run,
    load_config,
    quieten_engines,
)

SUMMARY = "train a task's network; goes on where a stopped run left off"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    add_run_option(parser)


def run(options: argparse.Namespace) -> int:
    """Train; the test split is never looked at. `export` makes the bundle."""
    quieten_engines()
    from ml.datasets import load_dataset
    from ml.training.loop import train_network

    config = load_config(options)
    folder = find_run(options, config)
    train_network(config, load_dataset(options.data, config.data), folder)
    sys.stdout.write(f"{folder}\n")
    return 0
