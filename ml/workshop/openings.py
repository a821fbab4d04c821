"""The record of each time that a task's test split, or images of other places, were looked at.

What is chosen after a look at the test split is chosen on it, however indirectly. The record
stands beside the task's bundles, is committed with them, and the model card repeats its lines.
"""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from ml.errors import SplitOpened

LEDGER = "test_openings.csv"
EXPORT, CROSSVAL, EXTERNAL = "export", "crossval", "external "


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


def record_external(bundle_path: Path, sources: Iterable[str], *, purpose: str) -> None:
    """Note that images of other places are about to be scored with the bundle, by source."""
    for source in sources:
        record_opening(bundle_path, split="test", purpose=f"{EXTERNAL}{source}: {purpose}")


def record_seed_runs(bundle_path: Path, runs: Iterable[Path], *, split: str) -> None:
    """Note each run of the recipe that is scored beside the bundle: each is another network."""
    for run in runs:
        purpose = f"seed run {run.name}: another training of the recipe, for the spread"
        record_opening(bundle_path, split=split, purpose=purpose)


def check_reopening(bundle_path: Path, purpose: str) -> None:
    """Raises SplitOpened when that version's figures were looked at before and no purpose is given.

    A cross-validation scores no network of the version, so it doesn't count.
    """
    before = [
        one
        for one in read_openings(bundle_path.parent)
        if one.version == bundle_path.name and not one.purpose.startswith(CROSSVAL)
    ]
    if before and not purpose.strip():
        raise SplitOpened(task=bundle_path.parent.name, version=bundle_path.name, count=len(before))


def read_openings(task_folder: Path) -> list[Opening]:
    """Every recorded look at the task's test split, oldest first."""
    path = task_folder / LEDGER
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [Opening(**row) for row in csv.DictReader(stream)]
