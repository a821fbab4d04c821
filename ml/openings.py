"""The record of each time that a task's test split was looked at.

What is chosen after a look at the test split is chosen on it, however indirectly. The record
stands beside the task's bundles, is committed with them, and the model card counts its lines.
"""

import csv
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

LEDGER = "test_openings.csv"


@dataclass(frozen=True, slots=True)
class Opening:
    """One look: when (UTC, ISO 8601), at which version's figures, and what for."""

    opened: str
    version: str
    purpose: str


def record_opening(bundle_path: Path, *, split: str, purpose: str) -> None:
    """Note that the test split is about to be scored with the bundle; other splits need no note."""
    if split != "test":
        return
    path = bundle_path.parent / LEDGER
    is_new = not path.exists()
    opening = Opening(datetime.now(UTC).isoformat(timespec="seconds"), bundle_path.name, purpose)
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if is_new:
            writer.writerow(field.name for field in fields(Opening))
        writer.writerow(astuple(opening))


def read_openings(task_folder: Path) -> list[Opening]:
    """Every recorded look at the task's test split, oldest first."""
    path = task_folder / LEDGER
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [Opening(**row) for row in csv.DictReader(stream)]
