"""ZIP archives, unpacked entry by entry into temporary files and never past the limits.

This stays in the server process, because what it costs is known beforehand: the list of
entries is read up to a length, and deflate, the one method taken, gives back no more at once
than is asked for. The other methods don't: 4 KiB of bzip2 can become gigabytes in one call.

What is sent as one file has one allowance, in `records.files.allowance`, for all that is in it.
"""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

from django.conf import settings

from records.errors import (
    FileRejected,
    SystemFile,
    ZipBomb,
    ZipCorrupt,
    ZipEncrypted,
    ZipMethod,
    ZipUnsafePath,
)
from records.files.allowance import Allowance
from records.files.leftovers import is_directory
from records.files.spool import spooled
from records.files.stores import Spooled

ENCRYPTED = 0x1
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
DRIVE = re.compile(r"[A-Za-z]:")
SYSTEM_FOLDERS = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information"})
SYSTEM_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
# One list of entries is read at once; this much of it names far more than are accepted.
LARGEST_READ_BYTES = 8 * 1024 * 1024
# A local header without the name that follows it.
LOCAL_HEADER_BYTES = 30
BROKEN_ENTRY = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: a temporary file, or the reason why there is none.

    `is_on_disc` says that the archive holds a disc's table of contents.
    """

    name: str
    file: Spooled | None
    refusal: FileRejected | None
    is_on_disc: bool


def expand(path: Path, allowance: Allowance) -> Iterator[Entry]:
    """Unpack an archive; each entry's temporary file is gone when the next is asked for.

    A bad entry comes with its refusal and the others go on. Raises ZipCorrupt when the
    list of entries can't be read, and ZipBomb once the allowance is used up, or where entries
    share bytes: then a small archive holds the same content a thousand times.
    """
    with _opened(path, allowance) as archive:
        listed = archive.infolist()
        allowance.take_names(len(listed))
        _check_apart(listed, archive.start_dir)
        entries = [entry for entry in listed if not entry.is_dir()]
        allowance.take_entries(len(entries))
        if not entries:
            raise ZipCorrupt(detail="it holds no files")
        is_disc = any(is_directory(info.filename) for info in entries)
        for info in entries:
            allowance.check()
            yield from _expand_entry(archive, info, allowance, is_disc=is_disc)


def _check_apart(entries: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Raise ZipBomb where the bytes of one entry, as the list states them, reach into another's."""
    spans = sorted(
        (info.header_offset, info.header_offset + LOCAL_HEADER_BYTES + info.compress_size)
        for info in entries
    )
    if any(after < stop for (_, stop), (after, _) in pairwise([*spans, (end, end)])):
        raise ZipBomb(detail="its entries lie over each other")


def _expand_entry(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowance: Allowance, *, is_disc: bool
) -> Iterator[Entry]:
    try:
        _check_name(info.orig_filename)
        if info.flag_bits & ENCRYPTED:
            raise ZipEncrypted
        if info.compress_type not in METHODS:
            raise ZipMethod
        with _content(archive, info, allowance) as content:
            source = _Metered(content, allowance)
            with spooled(source, limit=settings.INTAKE_MAX_FILE_BYTES) as file:
                yield Entry(name=info.filename, file=file, refusal=None, is_on_disc=is_disc)
    except ZipBomb:
        raise
    except FileRejected as refusal:
        if not refusal.is_harmless:
            allowance.note_refusal()
        yield Entry(name=info.filename, file=None, refusal=refusal, is_on_disc=is_disc)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowance: Allowance) -> IO[bytes]:
    try:
        with allowance.clock():
            return archive.open(info)
    except BROKEN_ENTRY as error:
        raise ZipCorrupt(detail="an entry can't be unpacked") from error


class _Metered:
    """An entry's content, counted against the allowance; damage becomes ZipCorrupt."""

    def __init__(self, content: IO[bytes], allowance: Allowance) -> None:
        self._content = content
        self._allowance = allowance

    def read(self, size: int = -1, /) -> bytes:
        try:
            with self._allowance.clock():
                chunk = self._content.read(size)
        except BROKEN_ENTRY as error:
            raise ZipCorrupt(detail="an entry can't be unpacked") from error
        self._allowance.take_bytes(len(chunk))
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
def _opened(path: Path, allowance: Allowance) -> Iterator[zipfile.ZipFile]:
    with _BoundedReader(io.FileIO(path)) as stream:
        try:
            with allowance.clock():
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
