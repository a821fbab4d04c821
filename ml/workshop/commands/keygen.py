"""`python -m ml keygen`: a key pair to sign bundles with.

The secret half is written to FILE for its owner alone, the public half beside it as `.pub.pem`:
that is what a site names in BUNDLE_TRUSTED_KEYS. Whoever has the secret half decides which models
answer there, so it belongs on no server, in no repository, and in a backup of its own.
"""

import argparse
import sys
from pathlib import Path

from ml.signing import write_key_pair

SUMMARY = "make a key pair to sign bundles with"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", type=Path, metavar="FILE.pem", help="for the secret half; new")


def run(options: argparse.Namespace) -> int:
    """Write both halves; print the public one's path and its id."""
    public, name = write_key_pair(options.file)
    sys.stdout.write(f"{public}: key {name}\n")
    return 0
