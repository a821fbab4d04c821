"""`python -m ml export`: the bundle of a finished run."""

import argparse
import sys
from pathlib import Path

from ml.commands.options import (
    BUNDLES_DIR,
    add_run_option,
    add_seed_runs_option,
    add_task_options,
    find_run,
    load_config,
    quieten_engines,
)

SUMMARY = "calibrate a run's best network, write its bundle and open the test split once"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    add_run_option(parser)
    add_seed_runs_option(parser)
    parser.add_argument("--out", type=Path, default=BUNDLES_DIR, help="root of the bundles")
    parser.add_argument("--replace", action="store_true", help="replace the bundle's version")
    parser.add_argument(
        "--weights", type=Path, help="ImageNet weights of the frozen backbone to compare with"
    )


def run(options: argparse.Namespace) -> int:
    """Export and print the bundle's folder."""
    quieten_engines()
    from ml.datasets import load_dataset
    from ml.evaluation.report import Comparisons
    from ml.exporting.bundle import export_bundle

    config = load_config(options)
    dataset = load_dataset(options.data, config.data)
    folder = find_run(options, config)
    path = export_bundle(
        config,
        dataset,
        folder,
        options.out,
        data_root=options.data,
        comparisons=Comparisons(options.weights, options.seed_runs),
        replace=options.replace,
    )
    sys.stdout.write(f"{path}\n")
    return 0
