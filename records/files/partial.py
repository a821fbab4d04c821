"""Where files wait of which only a part has come, beside the store.

A file bears the id of its upload and nothing else. Whoever writes to it holds its lock, which
the kernel takes back from a process that dies.
"""

import datetime as dt
import fcntl
import hashlib
import os
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from uuid import UUID

from records.errors import UploadBusy
from records.files.spool import (
    CHUNK_BYTES,
    Readable,
    disk_errors,
    made_beside_store,
    spool_directory,
)
from records.files.stores import Spooled, ensure_store

PARTIAL = "partial"
WHOLE = ".whole"
FILE_MODE = 0o600
SYNC_BYTES = 8 * 1024 * 1024
"""How much a server that loses power may have to ask for again."""


@contextmanager
def exclusive(upload_id: UUID) -> Iterator[BufferedRandom]:
    """Open an upload's file for the one writer that it may have.

    Raises UploadBusy, and StoreUnavailable: in an empty place a file would seem to have lost bytes.
    """
    ensure_store()
    handle = os.open(_path(upload_id), os.O_RDWR | os.O_CREAT, FILE_MODE)
    # Closing it writes what is left in memory, and may find the disk full once more.
    with disk_errors(), os.fdopen(handle, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UploadBusy from None
        yield file


def size_of(file: BufferedRandom) -> int:
    """How many bytes lie there: fewer than were promised if the disk was replaced."""
    return os.fstat(file.fileno()).st_size


def write_from(
    source: Readable, file: BufferedRandom, *, offset: int, length: int
) -> Iterator[int]:
    """Write up to `length` bytes at `offset`; yield each offset up to which all is safe on disk.

    What an earlier request wrote beyond `offset` goes. A sender that falls silent ends it like
    one that is done: what came is kept. Raises DiskFull.
    """
    safe = offset
    file.truncate(offset)
    file.seek(offset)
    for chunk in _chunks(source, length):
        with disk_errors():
            file.write(chunk)
        offset += len(chunk)
        if offset - safe >= SYNC_BYTES:
            _flush(file)
            safe = offset
            yield safe
    if safe < offset:
        _flush(file)
        yield offset


@contextmanager
def whole(upload_id: UUID) -> Iterator[Spooled]:
    """Lend a complete file, under a second name that may be moved into the store.

    The first name stays until `discard`: whatever dies meanwhile, the bytes need not be sent
    again.
    """
    path = _path(upload_id)
    lent = path.with_suffix(WHOLE)
    try:
        with disk_errors():
            lent.unlink(missing_ok=True)
            os.link(path, lent)
            with lent.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        yield Spooled(path=lent, sha256=sha256, size=lent.stat().st_size)
    finally:
        lent.unlink(missing_ok=True)


def discard(upload_id: UUID) -> None:
    """Remove an upload's file, if there is one."""
    _path(upload_id).unlink(missing_ok=True)


def remove_strays(*, wanted: Container[str], older_than: dt.timedelta) -> int:
    """Remove old files that belong to no upload in `wanted`; return how many."""
    oldest = time.time() - older_than.total_seconds()
    strays = [
        path
        for path in _directory().iterdir()
        if path.stem not in wanted and path.stat().st_mtime < oldest
    ]
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)


def _directory() -> Path:
    return made_beside_store(spool_directory().parent / PARTIAL)


def _path(upload_id: UUID) -> Path:
    return _directory() / str(upload_id)


def _chunks(source: Readable, length: int) -> Iterator[bytes]:
    while length:
        try:
            chunk = source.read(min(CHUNK_BYTES, length))
        except OSError:  # the connection broke, or nothing came for too long
            return
        if not chunk:
            return
        length -= len(chunk)
        yield chunk


def _flush(file: BufferedRandom) -> None:
    with disk_errors():
        file.flush()
        os.fsync(file.fileno())
