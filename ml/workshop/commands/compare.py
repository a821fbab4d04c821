"""`python -m ml compare`: two bundles, or two tables of predictions, on the same images.

Figures side by side with the difference and its interval over the same resampled groups, DeLong's
test for each AUC and McNemar's for the labels given. Writes comparison.html and comparison.json.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ml.workshop.commands.evaluate import add_split_options, check_purpose
from ml.workshop.commands.options import add_device_option, add_task_file_options, load_config_of
from ml.workshop.quiet import quieten_engines

if TYPE_CHECKING:
    from ml.workshop.evaluation.comparison import Comparison, Predictions

SUMMARY = "set two bundles' answers side by side, with paired tests"

EPILOG = """\
examples:
  python -m ml compare ml/bundles/retina/1.1.0 var/out/retina/1.2.0 --data ../shared/data
  python -m ml compare ml/bundles/retina/1.1.0 var/out/retina/1.2.0 --data ../shared/data \\
      --split test --purpose "which of the two ships was decided on validation"
  python -m ml compare var/evaluations/a/predictions.csv var/evaluations/b/predictions.csv
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("first", type=Path, help="a bundle's folder or a predictions.csv")
    parser.add_argument(
        "second", type=Path, help="the other one; differences are it less the first"
    )
    parser.add_argument("--data", type=Path, help="folder of the data sets, for bundles")
    add_task_file_options(parser)
    parser.add_argument("--out", type=Path, default=Path("var/comparison"), help="report's folder")
    add_split_options(parser, default="val")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Compare, print the figures and where the report is."""
    paths = (options.first, options.second)
    if any(path.is_dir() for path in paths):
        check_purpose(options)
        if options.data is None:
            raise SystemExit("compare: bundles need --data")
    quieten_engines()
    from ml.workshop.evaluation.comparison import PAGE, compare_predictions, write_comparison

    comparison = compare_predictions(*(_read_side(path, options) for path in paths))
    write_comparison(comparison, options.out)
    _print(comparison)
    sys.stdout.write(f"report: {options.out / PAGE}\n")
    return 0


def _read_side(path: Path, options: argparse.Namespace) -> "Predictions":
    """A table as it is; a bundle is run on the split, and a look at the test split recorded."""
    from ml.workshop.evaluation.comparison import read_predictions, take_answers

    if not path.is_dir():
        return read_predictions(path)
    from ml.predictor import open_predictor
    from ml.workshop.datasets import load_dataset
    from ml.workshop.evaluation.scoring import collect_answers
    from ml.workshop.openings import record_opening

    predictor = open_predictor(path, device=options.device)
    bundle = predictor.bundle
    config = load_config_of(options, bundle.task)
    dataset = load_dataset(options.data, config.data)
    record_opening(path.resolve(), split=options.split, purpose=options.purpose or "")
    answers = collect_answers(predictor, dataset.of_split(options.split))
    name = f"{bundle.task} {bundle.manifest.version} ({bundle.digest[:8]})"
    return take_answers(answers, bundle.labels, name=name)


def _print(comparison: "Comparison") -> None:
    from ml.workshop.evaluation.comparison import describe_tests

    sys.stdout.write(f"first   {comparison.first}\nsecond  {comparison.second}\n")
    sys.stdout.write(f"{'':26} {'first':>8} {'second':>8} {'difference':>11}\n")
    for name, one in comparison.figures.items():
        change = one.difference
        sys.stdout.write(
            f"{name:26} {one.first.value:8.4f} {one.second.value:8.4f} {change.value:+11.4f}"
            f" ({change.low:+.4f} to {change.high:+.4f})\n"
        )
    sys.stdout.write(describe_tests(comparison.tests))
