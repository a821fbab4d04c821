"""`python -m ml predict`: classify files; needs the base install only."""

import argparse
import json
import sys
from pathlib import Path

from ml.bundles import find_task_bundle
from ml.commands.options import BUNDLES_DIR, add_device_option

SUMMARY = "classify images"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--task", required=True)
    parser.add_argument("--bundle", type=Path, help="instead of the task's newest bundle")
    parser.add_argument("--json", action="store_true", help="one JSON object per file")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Answer every file in order; 1 if any of them failed."""
    from ml.prediction_output import describe_file, format_line
    from ml.predictor import open_predictor

    bundle = options.bundle or find_task_bundle(BUNDLES_DIR, options.task)
    predictor = open_predictor(bundle, device=options.device)
    is_failed = False
    for path in options.files:
        answer = describe_file(predictor, path)
        is_failed |= "error" in answer
        sys.stdout.write((json.dumps(answer) if options.json else format_line(answer)) + "\n")
        sys.stdout.flush()
    return int(is_failed)
