"""The way into the store: temporary files while there is room, then a name made from content."""

import datetime as dt
import errno
import hashlib
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.core.files import File
from django.template.defaultfilters import filesizeformat

from records.errors import DiskFull, FileTooLarge, StorageLow, StoreUnavailable
from records.files.stores import Spooled, check_store, ensure_store, image_store
from records.files.stores.local import make_private
from records.files.stores.locks import hold_contents

CHUNK_BYTES = 1024 * 1024
KEPT = ".kept"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Readable(Protocol):
    """What files can be read from: an upload, an open file, an entry of an archive."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the disk that files come in by is free, and from where on it is too little."""

    total: int
    free: int
    least: int

    @property
    def is_low(self) -> bool:
        """Tell whether nothing more is taken in."""
        return self.free < self.least


def measure_room() -> Room:
    """Look at the disk that files come in by; with a local store that is also where they stay."""
    return _measure(spool_directory())


def check_room(size: int = 0) -> None:
    """Refuse `size` more bytes before the disk is full, so that what runs can end in order.

    Raises StorageLow, and StoreUnavailable where the files couldn't be put anywhere.
    """
    ensure_store()
    _check_room(spool_directory(), size)


class Spool:
    """A temporary file that is being written, hashed as it grows; gone with this object at last."""

    def __init__(self, *, limit: int) -> None:
        """Begin an empty file of at most `limit` bytes.

        Raises StorageLow, DiskFull and StoreUnavailable.
        """
        ensure_store()
        self._directory = spool_directory()
        _check_room(self._directory, 0)
        self._limit = limit
        self._size = 0
        self._digest = hashlib.sha256()
        self.path = _new_file(self._directory)
        self._target = self.path.open("wb", buffering=0)
        self._remove = weakref.finalize(self, self.path.unlink, missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Add bytes.

        Raises FileTooLarge, StorageLow, DiskFull and StoreUnavailable, after which it is of no use.
        """
        self._size += len(chunk)
        if self._size > self._limit:
            raise FileTooLarge(limit=filesizeformat(self._limit))
        _check_room(self._directory, len(chunk))
        self._digest.update(chunk)
        rest = memoryview(chunk)
        with disk_errors(), _store_errors():
            while rest:
                rest = rest[self._target.write(rest) :]

    def finish(self) -> Spooled:
        """Say what was written: nothing more is."""
        self._target.close()
        return Spooled(path=self.path, sha256=self._digest.hexdigest(), size=self._size)

    def discard(self) -> None:
        """Remove the file, unless somebody took it over."""
        self._target.close()
        self._remove()


@contextmanager
def spooled(source: Readable, *, limit: int) -> Iterator[Spooled]:
    """Copy `source` to a temporary file, gone at the end unless it was published.

    Raises FileTooLarge as soon as more than `limit` bytes have come, StorageLow, DiskFull and
    StoreUnavailable.
    """
    spool = Spool(limit=limit)
    try:
        while chunk := source.read(CHUNK_BYTES):
            spool.write(chunk)
        yield spool.finish()
    finally:
        spool.discard()


def keep_file(file: Spooled) -> Path:
    """Take a temporary file over from `spooled`; returns where it is, until its owner ends it."""
    # A new name, not a new file: one that is made to be replaced costs the disk more than a write.
    path = file.path.with_suffix(KEPT)
    file.path.rename(path)
    return path


def open_spooled(file: Spooled) -> File:
    """Open a file on its way in, also where an attempt to file it has put it into the store."""
    if file.path.exists():
        return File(file.path.open("rb"))
    return image_store().open(file.name, "rb")


def publish(files: Sequence[Spooled]) -> None:
    """Put temporary files into the store, under the names that they have for it.

    Call it inside the transaction that writes the rows which point there: until that ends, nobody
    removes the files, not even those that lay there before without a row. Raises DiskFull,
    StoreUnavailable and ContentMismatch.
    """
    hold_contents(file.sha256 for file in files)
    ensure_store()
    with disk_errors():
        image_store().add(files)


def remove_leftovers(*, older_than: dt.timedelta) -> int:
    """Remove temporary files of processes that died; return how many."""
    oldest = time.time() - older_than.total_seconds()
    removed = 0
    for path in spool_directory().iterdir():
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _check_room(directory: Path, size: int) -> None:
    room = _measure(directory)
    if room.free - size < room.least:
        raise StorageLow


def _measure(directory: Path) -> Room:
    with disk_errors():
        disk = shutil.disk_usage(directory)
    share = disk.total * settings.INTAKE_MIN_FREE_PERCENT // 100
    return Room(disk.total, disk.free, max(settings.INTAKE_MIN_FREE_BYTES, share))


def spool_directory() -> Path:
    """Return the directory of files on their way in, made if need be.

    With a local store it lies in that, and is made nowhere else: not where a volume isn't mounted.
    Raises DiskFull and StoreUnavailable.
    """
    return made_beside_store(Path(settings.INTAKE_SPOOL_DIR))


def made_beside_store(directory: Path) -> Path:
    """Return a directory in the store or beside it, made if need be and the store is there.

    Raises DiskFull and StoreUnavailable.
    """
    with disk_errors():
        if not directory.exists():
            check_store()
            make_private(directory)
    return directory


def _new_file(directory: Path) -> Path:
    with disk_errors(), _store_errors():
        handle, name = tempfile.mkstemp(dir=directory)
    os.close(handle)
    return Path(name)


@contextmanager
def _store_errors() -> Iterator[None]:
    """Have a disk that can't be written to, though it has room, raise StoreUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise StoreUnavailable from error


@contextmanager
def disk_errors() -> Iterator[None]:
    """Have a disk without room raise DiskFull, and one that is away StoreUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull from error
        check_store()
        raise
