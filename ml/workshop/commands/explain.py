"""`python -m ml explain`: draw where the network looked, and test that the maps can be believed."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ml.bundles import find_task_bundle
from ml.errors import MLError
from ml.workshop.commands.options import BUNDLES_DIR, add_device_option
from ml.workshop.quiet import quieten_engines

SUMMARY = "draw where the network looked"
METHODS = ("cam", "occlusion", "gradcam")
SANITY = "sanity.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--task", required=True)
    parser.add_argument("--bundle", type=Path, help="instead of the task's newest bundle")
    parser.add_argument("--label", help="the finding to draw, instead of the likeliest one")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="cam",
        help="gradcam needs the training requirements and gives what cam gives",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"test the maps as well, into {SANITY}; needs the training requirements",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and tables")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Explain every file in order; 1 if any of them failed, or the maps fail their tests."""
    quieten_engines()
    from ml.predictor import open_predictor

    bundle = options.bundle or find_task_bundle(BUNDLES_DIR, options.task)
    predictor = open_predictor(bundle, device=options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    done = [_explain(predictor, path, number, options) for number, path in enumerate(options.files)]
    if not options.check:
        return int(not all(done))
    readable = [path for path, is_done in zip(options.files, done, strict=True) if is_done]
    return int(not _check(predictor, readable, options) or not all(done))


def _explain(predictor: Any, path: Path, number: int, options: argparse.Namespace) -> bool:
    """Write one file's picture and table; a known error is printed and the next file goes on."""
    from ml.images import encode_png
    from ml.workshop.explanation.files import explain_file

    try:
        explained = explain_file(predictor, path, label=options.label, method=options.method)
    except MLError as error:
        sys.stdout.write(f"{path}: {error.code}: {error.message}\n")
        return False
    stem = f"{number:03d}-{path.stem}"
    picture = options.out / f"{stem}.{explained.label}.{options.method}.png"
    picture.write_bytes(encode_png(explained.picture))
    (options.out / f"{stem}.json").write_text(json.dumps(explained.answer) + "\n")
    sys.stdout.write(f"{path}: {explained.words}: {picture}\n")
    return True


def _check(predictor: Any, readable: list[Path], options: argparse.Namespace) -> bool:
    from ml.workshop.explanation.files import check_files

    figures = check_files(predictor, readable)
    (options.out / SANITY).write_text(json.dumps(figures.describe(), indent=2) + "\n")
    sys.stdout.write(f"{json.dumps(figures.describe())}\n")
    return figures.is_passed
