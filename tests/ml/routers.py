"""A body-part bundle for tests: the shipped network under other labels."""

import json
import shutil
from pathlib import Path

LABELS = {"normal": "chest-xr", "pneumonia": "fundus", "tuberculosis": "hand-xr"}


def make_router(chest: Path, bundles: Path) -> Path:
    """Copy the chest bundle to `<bundles>/body-part/1.0.0`, calling its labels body parts."""
    copy = shutil.copytree(chest, bundles / "body-part" / "1.0.0")
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in ("labels", "normal_label", "codes", "operating"):
        text = json.dumps(manifest[entry])
        for label, part in LABELS.items():
            text = text.replace(f'"{label}"', f'"{part}"')
        manifest[entry] = json.loads(text)
    manifest |= {"task": "body-part", "title": "Body part"}
    # A router's answers are shown to nobody: nothing of them is withheld.
    manifest |= {"transfer": None, "conformal": None}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    (copy / "manifest.sig").unlink(missing_ok=True)
    return copy
