"""`python -m ml summary`: the layers and parameters of a task's network, or of a bundle's."""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import add_set_option, load_config
from ml.workshop.quiet import load_keras

SUMMARY = "print a network's layers, parameters and what one image costs"
EPILOG = """\
examples:
  python -m ml summary chest-xray
  python -m ml summary my-task.toml --set 'model.backbone="residual"'
  python -m ml summary ml/bundles/retina/1.1.0
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("task", help="name of a task, a path to a task file, or a bundle's folder")
    add_set_option(parser)


def run(options: argparse.Namespace) -> int:
    """Build the network, without its first weights, or load the bundle's; print it."""
    is_bundle = Path(options.task).is_dir()
    config = None if is_bundle else load_config(options)
    load_keras()
    from ml.workshop.training.summary import format_summary

    if config is None:
        from ml.bundles import load_bundle
        from ml.runtimes.keras_network import load_network

        network = load_network(load_bundle(options.task).path)
    else:
        from ml.workshop.training.network import build_unfilled

        network = build_unfilled(config)
    sys.stdout.write("\n".join(format_summary(network)) + "\n")
    return 0
