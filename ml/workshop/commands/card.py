"""`python -m ml card`: render the model card and the report of bundles anew, and seal them again.

The test split stays closed: no image is read and no network is run. Figures are those that the
bundle keeps (manifest.json, evaluation.json, predictions.csv, rejects.json), and stay as they are
to the byte; words and the release gate come from the task file, looks at the test split from
test_openings.csv beside the bundle. The stage follows from the gate and the figures.

A bundle that keeps no population.json gets one from the tables under --data: labels and what they
state of people, no image. With --baselines both baselines are scored anew on the test split, for
the figures that stood without; the network isn't run then either, but this is a use of the test
labels, so it needs --purpose and goes on record.
"""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import add_task_file_options, load_config_of
from ml.workshop.quiet import quieten_engines

SUMMARY = "render bundles' cards and reports anew from what they keep, the test split closed"
EPILOG = """\
examples:
  python -m ml card ml/bundles/lung-ct/1.0.2
  python -m ml card ml/bundles/*/*/ --data ../shared/data          bundles without population.json
  python -m ml card ml/bundles/retina/1.1.0 --data ../shared/data --baselines \\
      --weights ../shared/weights/mobilenet_v2_1.0_224_notop.weights.h5 \\
      --purpose "baselines beside every figure"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="their folders")
    parser.add_argument("--data", type=Path, help="folder of the data sets: tables alone are read")
    add_task_file_options(parser)
    parser.add_argument(
        "--baselines", action="store_true", help="score the baselines on the test split; recorded"
    )
    parser.add_argument("--weights", type=Path, help="ImageNet weights of the frozen baseline")
    parser.add_argument("--purpose", help="why the baselines are scored; goes on record")


def run(options: argparse.Namespace) -> int:
    """Render, and print each bundle's stage, what it misses of its gate, and its digest."""
    if options.baselines and not (options.data and (options.purpose or "").strip()):
        raise SystemExit("card: --baselines needs --data and --purpose TEXT, which is recorded")
    quieten_engines()
    for path in options.bundles:
        _render(path.resolve(), options)
    return 0


def _render(path: Path, options: argparse.Namespace) -> None:
    from ml.manifest import read_manifest
    from ml.signing import SIGNATURE
    from ml.workshop.datasets import load_dataset
    from ml.workshop.exporting.rendering import add_baselines, render_again

    manifest, _ = read_manifest(path)
    config = load_config_of(options, manifest.task)
    dataset = load_dataset(options.data, config.data) if options.data else None
    if options.baselines and dataset:
        add_baselines(path, config, dataset, weights=options.weights, purpose=options.purpose)
    bundle = render_again(path, config, dataset)
    missed = [
        f"{name} {result.value:.3f}, {'at most' if result.is_most else 'at least'} "
        f"{result.minimum:g} asked{f' ({result.reason})' if result.reason else ''}"
        for name, result in bundle.manifest.gate.items()
        if not result.is_met
    ]
    name = f"{bundle.task} {bundle.version}"
    sys.stdout.write(f"{name}: {bundle.manifest.stage}, {bundle.digest[:16]}\n")
    for line in missed:
        sys.stdout.write(f"  below its gate: {line}\n")
    if not (path / SIGNATURE).exists():
        sys.stdout.write("  not signed: python -m ml sign --key KEY BUNDLE\n")
