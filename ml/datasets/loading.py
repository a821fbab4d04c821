"""Finds a task's examples, whichever way they are given, and joins tables."""

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path

from ml.datasets.examples import Dataset, Example
from ml.datasets.folders import read_folders
from ml.datasets.splits import check_splits, draw_splits, limit_cells
from ml.datasets.tables import read_table
from ml.errors import DataInvalid
from ml.task_config import TASKS_DIR, DataConfig, ExtraTable

DEFAULT_TABLE = "labels.csv"
EVERY_LABEL = "*"


def load_dataset(root: Path, config: DataConfig, *, may_leak: bool = False) -> Dataset:
    """The task's examples under `root`, without those whose label it neither has nor maps.

    What is there decides: `root` itself when it is a CSV file, `<root>/<data.table>`,
    `<root>/labels.csv`, or else folders of classes. The tables of `data.extra` are joined, those of
    `data.excluded` left out, limits applied, and splits drawn by group for a table without any.
    Raises DataInvalid when nothing usable is found, something is malformed, or a group crosses
    splits: that only an audit, which shows where, lets pass with `may_leak`.
    """
    table = _find_table(root, config)
    if table is None:
        examples, digest, origin = read_folders(root, lambda name: _translate(name, config))
        digests, origins = [digest], [origin]
    else:
        examples, content = read_table(table, lambda name: _translate(name, config))
        examples = _split_missing(examples)
        digests, origins = [hashlib.sha256(content).hexdigest()], [f"table {table}"]
    for extra in config.extra:
        beside = (root if table is None else table.parent) / extra.table
        place = beside if beside.is_file() else Path(extra.table)
        rows, content = _read_extra(place, extra)
        examples += rows
        digests.append(hashlib.sha256(content).hexdigest())
        origins.append(f"table {place}")
    if config.excluded:
        examples, content = _leave_out(examples, TASKS_DIR / config.excluded)
        digests.append(hashlib.sha256(content).hexdigest())
        origins.append(f"without those of {config.excluded}")
    examples = limit_cells(examples, config.limit_per_label, lambda row: (row.label, row.split))
    check_splits(examples, table or root, may_leak=may_leak)
    _check_names(examples, table or root)
    joined = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Dataset(
        examples=tuple(examples),
        digest=digests[0] if len(digests) == 1 else joined,
        origin="; ".join(origins),
    )


def _find_table(root: Path, config: DataConfig) -> Path | None:
    named = [config.table] if config.table else []
    places = [root, *(root / name for name in (*named, DEFAULT_TABLE))]
    found = next((place for place in places if place.is_file()), None)
    if found is None and not root.is_dir():
        raise DataInvalid(path=root / config.table, detail="there is no such file or folder")
    return found


def _translate(name: str, config: DataConfig) -> str | None:
    label = config.mapping.get(name, name)
    return label if label in config.labels else None


def _read_extra(table: Path, extra: ExtraTable) -> tuple[list[Example], bytes]:
    """Rows of a joined table. Only what its mapping names: `normal` there may be another normal."""
    mapping: Mapping[str, str] = extra.mapping
    rows, content = read_table(table, lambda name: mapping.get(name, mapping.get(EVERY_LABEL)))
    rows = limit_cells(
        _split_missing(rows),
        extra.limit_per_cell,
        lambda row: (row.source, row.set_label, row.split),
    )
    return rows, content


def _leave_out(examples: list[Example], path: Path) -> tuple[list[Example], bytes]:
    """The examples that the file doesn't name, and its bytes."""
    try:
        content = path.read_bytes()
        names = {row["path"] for row in csv.DictReader(content.decode().splitlines())}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise DataInvalid(path=path, detail=f"it is no list of paths ({error})") from error
    return [example for example in examples if example.name not in names], content


def _split_missing(examples: list[Example]) -> list[Example]:
    """Draw splits for a table that has none at all."""
    return examples if any(row.split for row in examples) else draw_splits(examples)


def _check_names(examples: list[Example], where: Path) -> None:
    seen: set[Path] = set()
    for example in examples:
        if example.path in seen:
            raise DataInvalid(path=where, detail=f"{example.name} is in it more than once")
        seen.add(example.path)
