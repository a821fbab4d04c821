"""ZIP archives, unpacked entry by entry into temporary files and never past the limits.

This stays in the server process, because what it costs is known beforehand: the list of
entries is read up to a length, and deflate, the one method taken, gives back no more at once
than is asked for. The other methods don't: 4 KiB of bzip2 can become gigabytes in one call.
"""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from records.errors import (
    FileRejected,
    SystemFile,
    ZipBomb,
    ZipCorrupt,
    ZipEncrypted,
    ZipMethod,
    ZipUnsafePath,
)
from records.intake.storage import spooled
from records.stores import Spooled

ENCRYPTED = 0x1
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
DRIVE = re.compile(r"[A-Za-z]:")
SYSTEM_FOLDERS = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information"})
SYSTEM_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
# Blank images pack extremely well: a ratio says something only from this size on.
RATIO_FROM_BYTES = 64 * 1024 * 1024
# One list of entries is read at once; this much of it names far more than are accepted.
LARGEST_READ_BYTES = 8 * 1024 * 1024
BROKEN_ENTRY = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(slots=True)
class Allowance:
    """What may still be unpacked of one file that was sent, archives inside archives included."""

    entries: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_ENTRIES)
    size: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_BYTES)
    nesting: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_NESTING)

    def take_entries(self, count: int) -> None:
        """Count entries before any is unpacked; raises ZipBomb."""
        self.entries -= count
        if self.entries < 0:
            limit = settings.INTAKE_ZIP_MAX_ENTRIES
            raise ZipBomb(detail=f"it has more than {limit} entries")

    def take_bytes(self, count: int) -> None:
        """Count unpacked bytes; raises ZipBomb."""
        self.size -= count
        if self.size < 0:
            limit = filesizeformat(settings.INTAKE_ZIP_MAX_BYTES)
            raise ZipBomb(detail=f"it unpacks to more than {limit}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: a temporary file, or the reason why there is none."""

    name: str
    file: Spooled | None
    refusal: FileRejected | None


def expand(path: Path, allowance: Allowance) -> Iterator[Entry]:
    """Unpack an archive; each entry's temporary file is gone when the next is asked for.

    A bad entry comes with its refusal and the others go on. Raises ZipCorrupt when the
    list of entries can't be read, and ZipBomb once a limit is passed.
    """
    with _opened(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        allowance.take_entries(len(entries))
        if not entries:
            raise ZipCorrupt(detail="it holds no files")
        for info in entries:
            yield from _expand_entry(archive, info, allowance)


def _expand_entry(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowance: Allowance
) -> Iterator[Entry]:
    try:
        _check_name(info.orig_filename)
        if info.flag_bits & ENCRYPTED:
            raise ZipEncrypted
        if info.compress_type not in METHODS:
            raise ZipMethod
        with _content(archive, info) as content:
            source = _Metered(content, info, allowance)
            with spooled(source, limit=settings.INTAKE_MAX_FILE_BYTES) as file:
                yield Entry(name=info.filename, file=file, refusal=None)
    except ZipBomb:
        raise
    except FileRejected as refusal:
        yield Entry(name=info.filename, file=None, refusal=refusal)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(info)
    except BROKEN_ENTRY as error:
        raise ZipCorrupt(detail="an entry can't be unpacked") from error


class _Metered:
    """An entry's content, counted against the allowance; damage becomes ZipCorrupt."""

    def __init__(self, content: IO[bytes], info: zipfile.ZipInfo, allowance: Allowance) -> None:
        self._content = content
        self._packed = max(info.compress_size, 1)
        self._allowance = allowance
        self._size = 0

    def read(self, size: int = -1, /) -> bytes:
        try:
            chunk = self._content.read(size)
        except BROKEN_ENTRY as error:
            raise ZipCorrupt(detail="an entry can't be unpacked") from error
        self._size += len(chunk)
        self._allowance.take_bytes(len(chunk))
        ratio = settings.INTAKE_ZIP_MAX_RATIO
        if self._size > RATIO_FROM_BYTES and self._size > ratio * self._packed:
            raise ZipBomb(detail=f"an entry unpacks to more than {ratio} times its size")
        return chunk


class _BoundedReader(io.BufferedReader):
    """A file from which nobody reads more at once than a list of entries may need."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = size if size is not None and size >= 0 else self._remaining()
        if wanted > LARGEST_READ_BYTES:
            limit = settings.INTAKE_ZIP_MAX_ENTRIES
            raise ZipBomb(detail=f"it has more than {limit} entries")
        return super().read(wanted)

    def _remaining(self) -> int:
        return os.fstat(self.fileno()).st_size - self.tell()


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with _BoundedReader(io.FileIO(path)) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except BROKEN_ENTRY as error:
            raise ZipCorrupt(detail="its list of entries can't be read") from error
        with archive:
            yield archive


def _check_name(name: str) -> None:
    """Names never become paths here; an unsafe one still says that somebody meant harm."""
    plain = name.replace("\\", "/")
    path = PurePosixPath(plain)
    if "\x00" in name or plain.startswith("/") or DRIVE.match(plain) or ".." in path.parts:
        raise ZipUnsafePath
    base = path.name
    is_left_over = base.lower() in SYSTEM_NAMES or base.startswith("._")
    if is_left_over or not SYSTEM_FOLDERS.isdisjoint(path.parts):
        raise SystemFile
