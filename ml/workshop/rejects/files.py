"""Rejects as image files with a table, for a task that has a label for them."""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from ml.workshop.orientations import TURNED_KINDS
from ml.workshop.rejects.gathered import PHOTOGRAPH_KINDS
from ml.workshop.rejects.reject import Reject
from ml.workshop.rejects.spoilt import OWN_KINDS

TABLE = "rejects.csv"
SOURCE = "rejects"
# One of so many groups goes to the validation split.
VALIDATION_EVERY = 7
# Made of the task's own training images.
OF_OWN_IMAGES = (*TURNED_KINDS, *OWN_KINDS)


def write_rejects(rejects: Iterable[Reject], folder: Path) -> Path:
    """Write `<folder>/<kind>/<sha>.*` and the table of a data set beside them; returns its path.

    The label of each is its kind. Pieces of one photograph are a group; an image made of the
    task's own is training, as those are.
    """
    rows = []
    for reject in rejects:
        digest = hashlib.sha256(reject.content).hexdigest()
        suffix = Path(reject.name).suffix or ".png"
        path = folder / reject.kind / f"{digest[:16]}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(reject.content)
        origin = _find_origin(reject)
        name = path.relative_to(folder).as_posix()
        split = "train" if reject.kind in OF_OWN_IMAGES else _draw_split(origin)
        rows.append((name, reject.kind, SOURCE, f"{SOURCE}/{origin}", split))
    table = folder / TABLE
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([("path", "label", "source", "group", "split"), *rows])
    return table


def _find_origin(reject: Reject) -> str:
    return reject.name.partition("/")[0] if reject.kind in PHOTOGRAPH_KINDS else reject.name


def _draw_split(origin: str) -> str:
    number = int(hashlib.sha256(origin.encode()).hexdigest(), 16)
    return "train" if number % VALIDATION_EVERY else "val"
