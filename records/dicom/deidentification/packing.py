"""A folder that training reads, as a ZIP file: de-identified images and `labels.csv`."""

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LABELS = "labels.csv"
COLUMNS = ("path", "label", "source", "group", "study")
"""What `python -m ml --data` reads, and the study's pseudonym, by which labels are put in."""


@dataclass(slots=True)
class DataSet:
    """Images on their way into a ZIP file; their names say nothing, their order is the study's."""

    archive: zipfile.ZipFile
    source: str
    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, content: bytes, *, patient: str, study: str) -> None:
        """Put one image in, under its patient's pseudonym."""
        path = f"images/{patient}/{len(self.rows) + 1:06d}.dcm"
        self.archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
        row = {"path": path, "source": self.source, "group": patient, "study": study}
        self.rows.append(row)


@contextmanager
def packed_data_set(stream: IO[bytes], *, source: str) -> Iterator[DataSet]:
    """A data set that goes into `stream`, its table last; labels are for others to put in.

    No entry of the archive carries the time at which it was made.
    """
    with zipfile.ZipFile(stream, "w") as archive:
        data_set = DataSet(archive, source)
        yield data_set
        entry = zipfile.ZipInfo(LABELS)
        archive.writestr(entry, _as_csv(data_set.rows), zipfile.ZIP_DEFLATED)


def unpack_data_set(stream: IO[bytes], folder: Path, *, labels: dict[str, str]) -> int:
    """Write a data set to a folder, with a label for each study pseudonym in `labels`.

    Returns the number of images.
    """
    with zipfile.ZipFile(stream) as archive:
        table = archive.read(LABELS).decode()
        rows = list(csv.DictReader(table.splitlines()))
        archive.extractall(folder, [row["path"] for row in rows])
    for row in rows:
        row["label"] = labels.get(row["study"], "")
    (folder / LABELS).write_text(_as_csv(rows), newline="")
    return len(rows)


def _as_csv(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
