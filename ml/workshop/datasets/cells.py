"""The lines of a CSV file as spreadsheets write them: separators, marks, blank lines."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.errors import DataInvalid

SEPARATORS = (",", ";", "\t")
# How Excel states the separator in a line of its own.
STATED = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: its number in the file, from 1, and its cells by column."""

    number: int
    cells: dict[str, str]


def read_lines(path: Path, content: bytes) -> tuple[list[str], list[Line], dict[int, str]]:
    """Columns, lines, and what is wrong with others by their number.

    Names of columns come in lower case with underscores. Cells are stripped, blank lines left out.
    Raises DataInvalid for what is no table at all.
    """
    text = _decode(path, content)
    stated = STATED.match(text)
    body = text[stated.end() :] if stated else text
    skipped = 1 if stated else 0
    heading = next((line for line in body.splitlines() if line.strip()), "")
    separator = stated[1] if stated else max(SEPARATORS, key=heading.count)
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
    columns: list[str] = []
    lines: list[Line] = []
    problems: dict[int, str] = {}
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not columns:
                columns = _name_columns(path, cells)
                continue
            number = reader.line_num + skipped
            if len(cells) < len(columns) or any(cells[len(columns) :]):
                problems[number] = f"{len(cells)} columns where the header has {len(columns)}"
            else:
                lines.append(Line(number, dict(zip(columns, cells, strict=False))))
    except csv.Error as error:
        detail = f"line {reader.line_num + skipped}: {error}"
        raise DataInvalid(path=path, detail=detail) from error
    return columns, lines, problems


def _decode(path: Path, content: bytes) -> str:
    encoding = "utf-16" if content.startswith(UTF16_MARKS) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        detail = f"it is not UTF-8 text from line {line} on; save it as CSV UTF-8"
        raise DataInvalid(path=path, detail=detail) from error


def _name_columns(path: Path, cells: Sequence[str]) -> list[str]:
    names = [re.sub(r"[\s-]+", "_", cell.lower()) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataInvalid(path=path, detail=f"more than one column {' and '.join(twice)}")
    return names
