"""`python -m ml export`: the bundle of a finished run.

Weights are rounded, both engines' files written and compared; temperature, thresholds, bands and
the gate against strangers are set on validation; only then is the test split opened, and that is
noted in test_openings.csv beside the bundle. The stage follows from the task's [gate]. A version
whose figures were looked at before is refused unless --purpose says why; --replace alone only
allows its folder to be replaced.
"""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import (
    BUNDLES_DIR,
    add_masks_option,
    add_run_option,
    add_seed_runs_option,
    add_task_options,
    find_run,
    load_config,
    load_masked,
    load_rows,
)
from ml.workshop.quiet import load_keras

SUMMARY = "calibrate a run's best network, write its bundle and open the test split once"

EPILOG = """\
examples:
  python -m ml export chest-xray --data ../shared/data \\
      --weights ../shared/weights/mobilenet_v2_1.0_224_notop.weights.h5
  python -m ml export chest-xray --data ../shared/data --run var/seeds/chest/seed-7 \\
      --seed-runs var/seeds/chest/seed-7 var/seeds/chest/seed-8 var/seeds/chest/seed-9
  python -m ml export chest-xray --data ../shared/data --replace \\
      --purpose "the card named a wrong source; the same network again"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    add_run_option(parser)
    add_masks_option(parser)
    add_seed_runs_option(parser)
    parser.add_argument("--out", type=Path, default=BUNDLES_DIR, help="root of the bundles")
    parser.add_argument("--replace", action="store_true", help="replace the bundle's version")
    parser.add_argument(
        "--purpose", help="why the test split is opened again for this version; goes on record"
    )
    parser.add_argument(
        "--weights", type=Path, help="ImageNet weights of the frozen backbone to compare with"
    )


def run(options: argparse.Namespace) -> int:
    """Export and print the bundle's folder."""
    from ml.workshop.datasets import SPLITS

    config = load_config(options)
    dataset = load_rows(options, config, SPLITS)
    masked = load_masked(options)
    load_keras()
    from ml.workshop.evaluation.report import Comparisons
    from ml.workshop.exporting.bundle import export_bundle

    folder = find_run(options, config)
    path = export_bundle(
        config,
        dataset,
        folder,
        options.out,
        data_root=options.data,
        comparisons=Comparisons(options.weights, options.seed_runs, masked),
        replace=options.replace,
        purpose=options.purpose or "",
    )
    sys.stdout.write(f"{path}\n")
    return 0
