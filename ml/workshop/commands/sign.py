"""`python -m ml sign`: sign bundles, so that a site that trusts the key can put them into use.

Each bundle is checked first, file by file. The signature is over manifest.json and goes into
manifest.sig; no other byte of the bundle changes, nor does its digest. Signatures by other keys
stay. A bundle that is rendered again (`card`) has to be signed again.
"""

import argparse
import sys
from pathlib import Path

from ml.bundles import load_bundle
from ml.manifest import MANIFEST
from ml.signing import load_signing_key, sign_manifest

SUMMARY = "sign bundles with a key of your own"
EPILOG = """\
examples:
  python -m ml keygen ~/keys/radiology.pem
  python -m ml sign --key ~/keys/radiology.pem ml/bundles/chest-xray/1.2.0
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="their folders")
    parser.add_argument("--key", type=Path, required=True, help="the secret half of a key pair")


def run(options: argparse.Namespace) -> int:
    """Sign each, and print its digest and the key."""
    key = load_signing_key(options.key)
    for path in options.bundles:
        bundle = load_bundle(path.resolve())
        signer = sign_manifest(bundle.path, (bundle.path / MANIFEST).read_bytes(), key)
        name = f"{bundle.task} {bundle.version}"
        sys.stdout.write(f"{name}: {bundle.digest[:16]} signed by {signer}\n")
    return 0
