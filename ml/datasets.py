"""The table of a data set: which image carries which label, in which split, of which group."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.errors import DataInvalid
from ml.task_config import DataConfig

COLUMNS = ("path", "label", "source", "group", "split")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Example:
    """One row: `set_label` as the table has it, `label` as the task uses it."""

    path: Path
    name: str
    label: str
    set_label: str
    source: str
    group: str
    split: str
    population: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The rows of one task, and the SHA-256 of the table they came from."""

    examples: tuple[Example, ...]
    digest: str

    def of_split(self, split: str) -> list[Example]:
        """The rows of `train`, `val` or `test`, in the table's order."""
        return [example for example in self.examples if example.split == split]


def load_dataset(root: Path, config: DataConfig) -> Dataset:
    """Read `<root>/<table>`; rows whose label the task neither has nor maps are left out.

    Raises DataInvalid when the table is missing or malformed, or a group crosses splits.
    """
    table = root / config.table
    try:
        content = table.read_bytes()
    except OSError as error:
        raise DataInvalid(path=table, detail=error.strerror) from error
    rows = csv.DictReader(content.decode().splitlines())
    if absent := set(COLUMNS) - set(rows.fieldnames or ()):
        raise DataInvalid(path=table, detail=f"no column {sorted(absent)}")
    examples = tuple(_read_rows(rows, root, config))
    _check_splits(examples, table)
    return Dataset(examples=examples, digest=hashlib.sha256(content).hexdigest())


def _read_rows(rows: Iterable[dict[str, str]], root: Path, config: DataConfig) -> Iterable[Example]:
    for row in rows:
        label = config.mapping.get(row["label"], row["label"])
        if label in config.labels:
            yield Example(
                path=root / row["path"],
                name=row["path"],
                label=label,
                set_label=row["label"],
                source=row["source"],
                group=row["group"],
                split=row["split"],
                population=row.get("population") or "",
            )


def _check_splits(examples: Sequence[Example], table: Path) -> None:
    splits_of: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        splits_of[example.group].add(example.split)
    if unknown := {split for found in splits_of.values() for split in found} - set(SPLITS):
        raise DataInvalid(path=table, detail=f"unknown split {sorted(unknown)}")
    if leaked := [group for group, found in splits_of.items() if len(found) > 1]:
        raise DataInvalid(path=table, detail=f"{len(leaked)} groups cross splits: {leaked[0]}")


def balance_weights(examples: Sequence[Example], *, power: float) -> list[float]:
    """Weight of each example, mean 1: rarer (source, label) cells count more.

    Balancing inside each source, not over all, keeps the network from learning that an image
    of the source with most pneumonia is likely pneumonia. `power` 0 leaves all equal, 1 makes
    every cell count the same.
    """
    cells = Counter((example.source, example.set_label) for example in examples)
    raw = [cells[example.source, example.set_label] ** -power for example in examples]
    mean = sum(raw) / len(raw)
    return [weight / mean for weight in raw]
