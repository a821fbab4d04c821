"""Bundles for tests, made from the one that ships: its real network under another manifest."""

import json
import shutil
from pathlib import Path
from typing import Any

from ml.bundles import find_task_bundle

BUNDLES = Path("ml/bundles")
SAMPLES = Path("samples")
IMAGES = {
    "normal": SAMPLES / "chest-normal-adult-1" / "01.dcm",
    "pneumonia": SAMPLES / "chest-pneumonia-child-1" / "01.dcm",
    "tuberculosis": SAMPLES / "chest-tuberculosis-1" / "01.dcm",
    "unsure": SAMPLES / "brain-glioma" / "01.dcm",
}
"""Images that the shipped chest network surely calls that, and one that it can't tell."""

ROUTER_LABELS = {"normal": "chest-xr", "pneumonia": "fundus", "tuberculosis": "hand-xr"}
"""What the router made from it takes those images for."""


def copy_chest(root: Path) -> Path:
    """A copy of the newest chest bundle under `root`, that a test may damage."""
    shipped = find_task_bundle(BUNDLES, "chest-xray")
    return shutil.copytree(shipped, root / "chest-xray" / shipped.name)


def change_manifest(bundle: Path, **changes: Any) -> None:
    """Rewrite entries of a bundle's manifest; the digest changes with it."""
    path = bundle / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


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
