"""Bundles for tests, made from the one that ships: its real network under another manifest."""

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ml.bundles import find_task_bundle

BUNDLES = Path("ml/bundles")
SAMPLES = Path("samples")
IMAGES = {
    "normal": SAMPLES / "chest-normal-adult-2" / "01.dcm",
    "pneumonia": SAMPLES / "chest-pneumonia-child-1" / "01.dcm",
    "tuberculosis": SAMPLES / "chest-tuberculosis-1" / "01.dcm",
    "unsure": SAMPLES / "brain-glioma" / "01.dcm",
}
"""Images that the shipped chest network surely calls that, and one that it can't tell."""

ROUTER_LABELS = {"normal": "chest-xr", "pneumonia": "fundus", "tuberculosis": "hand-xr"}
"""What the router made from it takes those images for."""


class Key:
    """An Ed25519 key of a test; the same seed gives the same key."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
        public = self._private.public_key()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]

    def sign(self, bundle: Path) -> None:
        """Put a signature over the bundle's manifest beside it, in place of any other."""
        signature = self._private.sign((bundle / "manifest.json").read_bytes())
        line = f"ed25519 {self.id} {base64.b64encode(signature).decode()}\n"
        (bundle / "manifest.sig").write_text(line)


TEST_KEY = Key(b"a key for tests that every reader of this file has")


def copy_chest(root: Path) -> Path:
    """A copy of the newest chest bundle under `root`, that a test may damage.

    It answers images of every source, and withholds nothing for what can't be ruled out: most
    tests are about what becomes of an answer.
    """
    shipped = find_task_bundle(BUNDLES, "chest-xray")
    copy = shutil.copytree(shipped, root / "chest-xray" / shipped.name)
    manifest = json.loads((copy / "manifest.json").read_text())
    if manifest.get("transfer") or manifest.get("conformal"):
        change_manifest(copy, transfer=None, conformal=None)
    return copy


def reseal(bundle: Path, *, key: Key | None = None, **changes: Any) -> None:
    """Rewrite entries of a manifest, with the hashes of the files that are there now.

    The digest changes with it. Signed with `key` if one is given, and else left as it is.
    """
    manifest = json.loads((bundle / "manifest.json").read_text()) | changes
    manifest["files"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(bundle.iterdir())
        if path.name not in {"manifest.json", "manifest.sig"}
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    if key:
        key.sign(bundle)


def change_manifest(bundle: Path, **changes: Any) -> None:
    """Rewrite entries of a bundle's manifest, signed by the key that the tests trust."""
    reseal(bundle, key=TEST_KEY, **changes)


def make_router(bundle: Path) -> None:
    """Turn a copy of the chest bundle into a body-part model that sees what its labels mean."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    renamed = {
        name: json.loads(_rename(json.dumps(manifest[name])))
        for name in ("labels", "normal_label", "codes", "operating")
    }
    change_manifest(bundle, task="body-part", title="Body part", **renamed)


def _rename(text: str) -> str:
    for label, other in ROUTER_LABELS.items():
        text = text.replace(f'"{label}"', f'"{other}"')
    return text
