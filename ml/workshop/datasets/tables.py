"""Data sets as a CSV table: path and label are enough; other columns ride along."""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from ml.errors import DataInvalid
from ml.workshop.datasets.cells import Line, read_lines
from ml.workshop.datasets.examples import Example
from ml.workshop.datasets.groups import normalise_group
from ml.workshop.datasets.headers import Provenance, read_provenance

REQUIRED = ("path", "label")
# Who it is, the first that a table has: a patient's number is hashed, groups stand in reports.
PATIENTS = ("patient", "patient_id")
COLUMNS = (*REQUIRED, "source", "group", "split", *PATIENTS)
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
NO_REASON = "no reason stated"
UNGROUPED = (
    "{count} images of {table} name no patient and no group, so each is a group of its own: images "
    "of one patient may lie in two splits, and then every figure is too good. A column patient_id "
    "or group mends that."
)


@dataclass(slots=True)
class Table:
    """What a table holds: rows of the task's labels, its bytes, and what is worth saying of it.

    `foreign` counts the labels of the rows that were left out.
    """

    content: bytes
    examples: list[Example] = field(default_factory=list)
    foreign: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_table(
    path: Path,
    translate: Callable[[str], str | None],
    *,
    images: Path | None = None,
    needed: Container[str] = (),
) -> Table:
    """Rows of a table, with paths from `images` on or from beside it; no split is an empty string.

    `translate` gives the task's label for a set's, or None for a row to leave out. Where the table
    has no column for them, a DICOM file's header says source and group; a picture is of the
    folder's name and, without a patient, a group of its own. Raises DataInvalid, which lists what
    is wrong line by line; missing files too, of the splits that are `needed`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataInvalid(path=path, detail=error.strerror or "it can't be opened") from error
    columns, lines, problems = read_lines(path, content)
    if absent := [name for name in REQUIRED if name not in columns]:
        shown = ", ".join(filter(None, columns)) or "none"
        raise DataInvalid(path=path, detail=f"no column {' and '.join(absent)}; it has {shown}")
    table, reader = Table(content), _Rows(path, columns, images or path.parent)
    for line in lines:
        # `manage.py deidentify` writes no label for a study that nobody has labelled.
        label = translate(line.cells["label"]) if line.cells["label"] else None
        if not line.cells["path"]:
            problems[line.number] = "no path"
        elif label is None:
            table.foreign[line.cells["label"]] += 1
        else:
            try:
                table.examples.append(reader.make(line, label, needed))
            except DataInvalid as error:
                problems[line.number] = str(error.context["detail"])
    if problems:
        told = [f"line {number}: {text}" for number, text in sorted(problems.items())]
        raise DataInvalid.of_lines(path, told)
    if unlabelled := table.foreign[""]:
        table.notes.append(f"{unlabelled} rows of {path.name} have no label and are left out.")
    if reader.ungrouped:
        table.notes.append(UNGROUPED.format(count=reader.ungrouped, table=path.name))
    return table


class _Rows:
    """Makes examples of one table's lines."""

    def __init__(self, table: Path, columns: Sequence[str], images: Path) -> None:
        self._images = images
        self._folder = table.resolve().parent.name
        self._patients = [name for name in PATIENTS if name in columns]
        self._needs_group = not ("group" in columns or self._patients)
        self._needs_header = self._needs_group or "source" not in columns
        self.ungrouped = 0

    def make(self, line: Line, label: str, needed: Container[str]) -> Example:
        """One row; raises DataInvalid for a file that isn't there or says nothing of itself."""
        cells = line.cells
        split = cells.get("split", "").lower()
        name, path = self._find(cells["path"], must_exist=split in needed)
        # A file that isn't there is found missing when its image is wanted, as a picture is.
        is_object = path.suffix.lower() not in RASTER_SUFFIXES
        header = None
        if is_object and (path.is_file() or self._needs_header):
            header = read_provenance(path)
        known = header or Provenance(group="", source=self._folder, facts={})
        given = {name: value for name, value in cells.items() if name not in COLUMNS}
        return Example(
            path=path,
            name=name,
            label=label,
            set_label=cells["label"],
            source=cells.get("source", known.source),
            group=self._choose_group(cells, known.group, name),
            split=split,
            population=given.get("population", ""),
            facts={**known.facts, **given},
        )

    def _choose_group(self, cells: dict[str, str], from_header: str, name: str) -> str:
        if "group" in cells:
            return cells["group"]
        patient = next((normalise_group(cells[one]) for one in self._patients if cells[one]), "")
        if patient:
            return f"patient:{hashlib.sha256(patient.encode()).hexdigest()[:16]}"
        self.ungrouped += not from_header
        return from_header or f"image:{name}"

    def _find(self, text: str, *, must_exist: bool) -> tuple[str, Path]:
        """Name and path of an image; backslashes are those of Windows unless a file is named so."""
        path = self._images / text
        if "\\" in text and not path.is_file():
            text = PureWindowsPath(text).as_posix()
            path = self._images / text
        if must_exist and not path.is_file():
            hint = "; its drive is of another machine" if PureWindowsPath(text).drive else ""
            raise DataInvalid(path=path, detail=f"there is no file {path}{hint}")
        return text, path


def read_excluded(path: Path) -> tuple[dict[str, str], bytes]:
    """The images that a list of `excluded` names, each with the reason, and the list's bytes.

    Raises DataInvalid.
    """
    try:
        content = path.read_bytes()
        rows = list(csv.DictReader(content.decode().splitlines()))
        reasons = {row["path"]: row.get("reason") or NO_REASON for row in rows}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise DataInvalid(path=path, detail=f"it is no list of paths ({error})") from error
    return reasons, content
