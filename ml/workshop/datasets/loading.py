"""Finds a task's examples, whichever way they are given, and joins tables."""

import hashlib
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from ml.errors import DataInvalid
from ml.typed_tables import suggest_name
from ml.workshop.datasets.examples import EXTERNAL, SPLITS, Dataset, Example, ExternalSource
from ml.workshop.datasets.external import find_beside, load_external
from ml.workshop.datasets.folders import read_folders
from ml.workshop.datasets.splits import check_splits, draw_splits, limit_cells
from ml.workshop.datasets.tables import Table, read_excluded, read_table
from ml.workshop.task_config import DataConfig, ExtraTable
from ml.workshop.task_tables import TASKS_DIR

DEFAULT_TABLE = "labels.csv"
EVERY_LABEL = "*"


def load_dataset(
    root: Path,
    config: DataConfig,
    *,
    may_leak: bool = False,
    images: Path | None = None,
    needed: Container[str] = (),
) -> Dataset:
    """The task's examples under `root`, without those whose label it neither has nor maps.

    What is there decides: `root` itself when it is a CSV file, `<root>/<data.table>`,
    `<root>/labels.csv`, or else folders of classes. `images` is where the paths of that table
    begin, by default beside it; files of the `needed` splits, "" being none yet, must be there. The
    tables of `data.extra` are joined, those of `data.excluded` left out, limits applied, and splits
    drawn by group for a table without any. Rows of other places (`external-test`, or of
    `data.external`) are none of the examples: the latter are `external`. Raises DataInvalid when
    nothing usable is found, something is malformed, or a group crosses splits: that only an audit,
    which shows where, lets pass with `may_leak`.
    """
    table = _find_table(root, config)
    if table is None:
        examples, digest, origin = read_folders(root, lambda name: _translate(name, config))
        digests, origins, own = [digest], [origin], None
    else:
        own = read_table(table, lambda name: _translate(name, config), images=images, needed=needed)
        examples = _split_missing(own.examples)
        digests, origins = [hashlib.sha256(own.content).hexdigest()], [f"table {table}"]
    for extra in config.extra:
        place = find_beside(root, config, extra.table)
        rows, content = _read_extra(place, extra, needed=needed)
        examples += rows
        digests.append(hashlib.sha256(content).hexdigest())
        origins.append(f"table {place}")
    if config.excluded:
        names, content = read_excluded(TASKS_DIR / config.excluded)
        examples = [example for example in examples if example.name not in names]
        digests.append(hashlib.sha256(content).hexdigest())
        origins.append(f"without those of {config.excluded}")
    sources = load_external(root, config)
    examples = _set_aside(examples, sources)
    examples = limit_cells(examples, config.limit_per_label, lambda row: (row.label, row.split))
    external = [row for one in sources for row in one.examples]
    check_splits(examples, table or root, external=external, may_leak=may_leak)
    _check_names(examples, table or root)
    joined = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Dataset(
        examples=tuple(examples),
        digest=digests[0] if len(digests) == 1 else joined,
        origin="; ".join(origins),
        notes=tuple(own.notes + _note_foreign(own, config)) if own else (),
        left_out=_count_left_out(own, examples) if own else {},
        external=tuple(sources),
    )


def _note_foreign(table: Table, config: DataConfig) -> list[str]:
    """Labels like one of the task's, but spelled another way: their rows were left out."""
    known = [*config.labels, *config.mapping]
    return [
        f"{count} rows carry the label {label!r}, which the task doesn't know{near}."
        for label, count in table.foreign.most_common()
        if (near := suggest_name(label.casefold(), known))
    ]


def _count_left_out(table: Table, kept: list[Example]) -> dict[str, int]:
    """Rows of the table by label that the task doesn't know, or that a limit or a list left out."""
    names = {row.name for row in kept}
    limited = Counter(row.set_label for row in table.examples if row.name not in names)
    return dict((table.foreign + limited).most_common())


def _set_aside(examples: Sequence[Example], sources: Sequence[ExternalSource]) -> list[Example]:
    """The examples without those of other places, in whichever table they stand.

    Those that don't count there count nowhere.
    """
    foreign = {row.path for one in sources for row in one.examples}
    foreign |= {row.path for one in sources for row, _ in one.left_out}
    return [row for row in examples if row.split != EXTERNAL and row.path not in foreign]


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


def _read_extra(
    table: Path, extra: ExtraTable, *, needed: Container[str]
) -> tuple[list[Example], bytes]:
    """Rows of a joined table. Only what its mapping names: `normal` there may be another normal."""
    mapping: Mapping[str, str] = extra.mapping
    found = read_table(
        table,
        lambda name: mapping.get(name, mapping.get(EVERY_LABEL)),
        needed=needed,
    )
    rows = _split_missing(found.examples)
    if set(extra.splits) != set(SPLITS):
        rows = [row for row in rows if row.split in extra.splits]
    rows = limit_cells(
        rows,
        extra.limit_per_cell,
        lambda row: (row.source, row.set_label, row.split),
    )
    return rows, found.content


def _split_missing(examples: list[Example]) -> list[Example]:
    """Draw splits for a table that has none at all."""
    return examples if any(row.split for row in examples) else draw_splits(examples)


def _check_names(examples: list[Example], where: Path) -> None:
    counts = Counter(example.path for example in examples)
    names = {example.path: example.name for example in examples if counts[example.path] > 1}
    if names:
        told = [f"{name} is in it more than once" for name in names.values()]
        raise DataInvalid.of_lines(where, told)
