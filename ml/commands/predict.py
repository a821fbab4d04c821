"""`python -m ml predict`: classify files; needs the base install only."""

import argparse
import json
import sys
from pathlib import Path

from ml.commands.options import BUNDLES_DIR, add_device_option

SUMMARY = "classify images"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--task", help="name of the task; --route can find it by the image")
    parser.add_argument("--bundle", type=Path, help="instead of the task's newest bundle")
    parser.add_argument("--bundles", type=Path, default=BUNDLES_DIR, help="folder of the bundles")
    parser.add_argument(
        "--route",
        action="store_true",
        help="let the body-part model look first: it finds the task, or doubts the one given",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per file")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Answer every file in order; 1 if any of them failed."""
    from ml.answering import Answerer
    from ml.prediction_output import format_line

    if not (options.task or options.bundle or options.route):
        raise SystemExit("predict: give --task or --bundle, or --route to find the task by look")
    answerer = Answerer(
        options.bundles,
        task=options.task,
        bundle=options.bundle,
        is_routed=options.route,
        device=options.device,
    )
    is_failed = False
    for path in options.files:
        answer = answerer.answer(path)
        is_failed |= "error" in answer
        sys.stdout.write((json.dumps(answer) if options.json else format_line(answer)) + "\n")
        sys.stdout.flush()
    return int(is_failed)
