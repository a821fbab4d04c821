"""`python -m ml evaluate`: score a bundle on a split."""

import argparse
import sys
from pathlib import Path

from ml.commands.options import add_device_option, quieten_engines
from ml.task_config import find_task, load_task

SUMMARY = "score a bundle on a split and write its report"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, help="folder of the report")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the figures and where the report is."""
    quieten_engines()
    from ml.datasets import load_dataset
    from ml.evaluation.report import evaluate_bundle
    from ml.predictor import open_predictor

    predictor = open_predictor(options.bundle, device=options.device)
    config = load_task(find_task(predictor.bundle.task))
    out = options.out or Path("var/evaluations") / predictor.bundle.digest[:12]
    dataset = load_dataset(options.data, config.data)
    evaluation = evaluate_bundle(predictor, config, dataset, out, split=options.split)
    for name, metric in evaluation.metrics.items():
        sys.stdout.write(f"{name:34} {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f})\n")
    for name, value in evaluation.baseline.items():
        sys.stdout.write(f"{'thumbnail baseline ' + name:34} {value:.4f}\n")
    sys.stdout.write(f"report: {out}\n")
    return 0
