"""Images of other places: tables that nothing is learned from, scored when everything is fixed."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ml.errors import DataInvalid
from ml.workshop.datasets.examples import EXTERNAL, Example, ExternalSource
from ml.workshop.datasets.tables import read_excluded, read_table
from ml.workshop.task_config import DataConfig, ExternalTable
from ml.workshop.task_tables import TASKS_DIR


def load_external(
    root: Path, config: DataConfig, tables: Sequence[ExternalTable] | None = None
) -> list[ExternalSource]:
    """Each source of the tables (`data.external`) that lie at hand, by name.

    A table of the task file that isn't there is left out, and `list_absent` names it; one given
    as `tables` has to be there. Raises DataInvalid for a table that can't be read, for two tables
    with the same source, and where no row is left.
    """
    found: dict[str, ExternalSource] = {}
    for external in config.external if tables is None else tables:
        place = find_beside(root, config, external.table)
        if tables is None and not place.is_file():
            continue
        for source in _read_sources(place, external, config.excluded):
            if source.name in found:
                detail = f"source {source.name} is in another table too"
                raise DataInvalid(path=place, detail=detail)
            found[source.name] = source
    return [source for _, source in sorted(found.items())]


def _read_sources(place: Path, external: ExternalTable, excluded: str) -> list[ExternalSource]:
    """The sources of one table, without what its own list or the task's, `excluded`, names."""
    accepted = _read_accepted(external)
    read = read_table(place, {name: name for name in accepted}.get)
    lists = filter(None, (excluded, external.excluded))
    reasons = {
        name: reason for one in lists for name, reason in read_excluded(TASKS_DIR / one)[0].items()
    }
    by_source: dict[str, list[Example]] = {}
    for row in _choose_rows(read.examples):
        own = dataclasses.replace(row, split=EXTERNAL, source=row.source or place.stem)
        by_source.setdefault(own.source, []).append(own)
    if not by_source:
        raise DataInvalid(path=place, detail="no row of it is external")
    sources = [
        ExternalSource(
            name,
            external.table,
            tuple(row for row in rows if row.name not in reasons),
            accepted,
            hashlib.sha256(read.content).hexdigest(),
            tuple((row, reasons[row.name]) for row in rows if row.name in reasons),
        )
        for name, rows in by_source.items()
    ]
    if empty := next((one.name for one in sources if not one.examples), None):
        raise DataInvalid(path=place, detail=f"every row of the source {empty} is left out by name")
    return sources


def name_tables(config: DataConfig, tables: Sequence[str]) -> list[ExternalTable]:
    """Tables named by their path, with mapping and list as the task file has them for each.

    Without one the set's labels are the task's, or stand for another as `data.mapping` says.
    """
    known = {Path(one.table).name: one for one in config.external}
    labels = {label: label for label in config.labels} | config.mapping
    own = ExternalTable("", dict[str, tuple[str, ...] | str](labels))
    return [dataclasses.replace(known.get(Path(table).name, own), table=table) for table in tables]


def list_absent(root: Path, config: DataConfig) -> list[str]:
    """Tables of `data.external` that don't lie at hand."""
    return [
        one.table for one in config.external if not find_beside(root, config, one.table).is_file()
    ]


def find_beside(root: Path, config: DataConfig, table: str) -> Path:
    """Where a further table is looked for: beside the task's, or else in the working folder.

    A task's table may lie in a folder of `root` itself; then `root` counts as beside it.
    """
    places = [root.parent] if root.is_file() else [(root / config.table).parent, root]
    found = (place / table for place in places)
    return next((place for place in found if place.is_file()), Path(table))


def _choose_rows(examples: Sequence[Example]) -> list[Example]:
    """Those of `external-test`; where there are none, of `test`; of a table without splits all.

    Rows of `train` and `val` may have been learned from.
    """
    splits = {row.split for row in examples}
    chosen = next((one for one in (EXTERNAL, "test", "") if one in splits), EXTERNAL)
    return [row for row in examples if row.split == chosen]


def _read_accepted(external: ExternalTable) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(filter(None, (labels,) if isinstance(labels, str) else labels))
        for name, labels in external.mapping.items()
    }
