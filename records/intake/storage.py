"""Where the bytes go: temporary files beside the store, and a store named by content.

A file is written whole, flushed to disk and only then renamed to its name, which is the
SHA-256 of its bytes: a name never holds anything else, and nothing is ever overwritten.
"""

import datetime as dt
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from django.core.files.storage import storages
from django.template.defaultfilters import filesizeformat

from records.errors import DiskFull, FileTooLarge

CHUNK_BYTES = 1024 * 1024
INCOMING = "incoming"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DIRECTORY_MODE = 0o700


class Readable(Protocol):
    """What files can be read from: an upload, an open file, an entry of an archive."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A temporary file with what was learnt while it was written."""

    path: Path
    sha256: str
    size: int


@contextmanager
def spooled(source: Readable, *, limit: int) -> Iterator[Spooled]:
    """Copy `source` to a temporary file, gone at the end unless it was published.

    Raises FileTooLarge as soon as more than `limit` bytes have come, and DiskFull.
    """
    path = _new_incoming()
    try:
        digest = hashlib.sha256()
        size = 0
        with _disk_errors(), path.open("wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > limit:
                    raise FileTooLarge(limit=filesizeformat(limit))
                digest.update(chunk)
                target.write(chunk)
            _flush(target)
        yield Spooled(path=path, sha256=digest.hexdigest(), size=size)
    finally:
        path.unlink(missing_ok=True)


def publish(file: Spooled) -> str:
    """Rename a temporary file into the store and return its name there; raises DiskFull.

    The same bytes may already be there: they are left, and the temporary file goes.
    """
    name = f"{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}.dcm"
    target = Path(storages["images"].path(name))
    if target.exists() and target.stat().st_size == file.size:
        return name
    with _disk_errors():
        _make_private(target.parent)
        file.path.replace(target)
        _flush_directory(target.parent)
    return name


def remove_leftovers(*, older_than: dt.timedelta) -> int:
    """Remove temporary files of processes that died; return how many."""
    oldest = time.time() - older_than.total_seconds()
    removed = 0
    for path in incoming_directory().iterdir():
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def incoming_directory() -> Path:
    """Return the directory of files on their way in, made if need be; raises DiskFull."""
    directory = Path(storages["images"].path(INCOMING))
    with _disk_errors():
        _make_private(directory)
    return directory


def _make_private(directory: Path) -> None:
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def _new_incoming() -> Path:
    directory = incoming_directory()
    with _disk_errors():
        handle, name = tempfile.mkstemp(dir=directory)
    os.close(handle)
    return Path(name)


def _flush(target: BinaryIO) -> None:
    target.flush()
    os.fsync(target.fileno())


def _flush_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull from error
        raise
