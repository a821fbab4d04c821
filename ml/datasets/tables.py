"""Data sets as a CSV table: path, label, source, group and split; other columns ride along."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from ml.datasets.examples import Example
from ml.datasets.headers import Provenance, read_provenance
from ml.errors import DataInvalid

REQUIRED = ("path", "label")
# A DICOM file says these by itself.
FROM_HEADER = ("source", "group")
COLUMNS = (*REQUIRED, *FROM_HEADER, "split")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


def read_table(table: Path, translate: Callable[[str], str | None]) -> tuple[list[Example], bytes]:
    """Rows of a table, their paths beside it, and its bytes; an absent split is the empty string.

    `translate` gives the task's label for a set's, or None for a row to leave out. Of a DICOM
    file the header gives what the table has no column for; raises DataInvalid where both are
    silent.
    """
    try:
        content = table.read_bytes()
        rows = csv.DictReader(content.decode("utf-8-sig").splitlines())
    except OSError as error:
        raise DataInvalid(path=table, detail=error.strerror) from error
    except UnicodeDecodeError as error:
        raise DataInvalid(path=table, detail="it is not UTF-8 text") from error
    if absent := set(REQUIRED) - set(rows.fieldnames or ()):
        raise DataInvalid(path=table, detail=f"no column {sorted(absent)}")
    return list(_read_rows(rows, table, translate)), content


def _read_rows(
    rows: Iterable[dict[str, str]], table: Path, translate: Callable[[str], str | None]
) -> Iterable[Example]:
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataInvalid(path=table, detail=f"line {number} has another number of columns")
        label = translate(row["label"])
        if label is not None:
            yield _make_example(row, label, table)


def _make_example(row: dict[str, str], label: str, table: Path) -> Example:
    path = table.parent / row["path"]
    absent = [name for name in FROM_HEADER if name not in row]
    # A file that isn't there is found missing when its image is wanted, as a picture is.
    has_header = path.suffix.lower() not in RASTER_SUFFIXES and (absent or path.is_file())
    header = read_provenance(path) if has_header else None
    if header is None and absent:
        raise DataInvalid(path=table, detail=f"no column {absent}, and {path.name} is no DICOM")
    known = header or Provenance(group="", source="", facts={})
    given = {name: value for name, value in row.items() if name not in COLUMNS}
    return Example(
        path=path,
        name=row["path"],
        label=label,
        set_label=row["label"],
        source=row.get("source", known.source),
        group=row.get("group", known.group),
        split=row.get("split", ""),
        population=given.get("population", ""),
        facts=known.facts | given,
    )
