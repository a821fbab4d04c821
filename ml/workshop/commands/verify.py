"""`python -m ml verify`: whether bundles are whole, and signed by a key that is trusted.

Trusted are the keys that come with the product, and those of --trusted.
"""

import argparse
import sys
from pathlib import Path

from ml.bundles import load_bundle
from ml.signing import load_trusted_keys

SUMMARY = "check bundles' files and signatures"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="their folders")
    parser.add_argument(
        "--trusted",
        type=Path,
        nargs="+",
        default=[],
        metavar="KEY",
        help="public keys beside the product's own: PEM files, or folders of them",
    )


def run(options: argparse.Namespace) -> int:
    """Print who signed each; 1 when no trusted key signed one of them."""
    keys = load_trusted_keys(options.trusted)
    bundles = [load_bundle(path.resolve(), trusted_keys=keys) for path in options.bundles]
    for bundle in bundles:
        signer = bundle.signed_by or "no trusted key"
        name = f"{bundle.task} {bundle.version}"
        sys.stdout.write(f"{name}: {bundle.digest[:16]} signed by {signer}, {bundle.stage}\n")
    return 0 if all(bundle.signed_by for bundle in bundles) else 1
