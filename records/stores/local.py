"""Images in a directory: flushed to disk and renamed into place before any row points there."""

import datetime as dt
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from records.errors import ContentMismatch
from records.stores import Listed, content_of

DIRECTORY_MODE = 0o700


class LocalStore(FileSystemStorage):
    """A directory on the file system of the spool, so that a rename publishes a file whole."""

    def add(self, path: Path, *, name: str, sha256: str, size: int) -> None:
        """Flush the file, rename it to `name` and flush the directory. Raises ContentMismatch."""
        target = Path(self.path(name))
        if target.exists():
            _check_same(target, sha256=sha256, size=size)
            # Whoever put it there may not have come so far yet.
            flush(target.parent)
            return
        make_private(target.parent)
        flush(path)
        path.replace(target)
        flush(target.parent)

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the files below one of the 256 directories."""
        top = Path(self.location)
        for path in sorted((top / prefix).glob("*/*")):
            name = path.relative_to(top).as_posix()
            if content_of(name) is None:
                continue
            found = path.stat()
            modified_at = dt.datetime.fromtimestamp(found.st_mtime, tz=dt.UTC)
            yield Listed(name, found.st_size, modified_at)


def make_private(directory: Path) -> None:
    """Make a directory that nobody else may enter, and let its name survive a power cut."""
    if directory.exists():
        return
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        flush(path.parent)


def flush(path: Path) -> None:
    """Have the system write a file, or the names in a directory, to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_same(target: Path, *, sha256: str, size: int) -> None:
    if target.stat().st_size == size:
        with target.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == sha256:
                return
    raise ContentMismatch(sha256=sha256)
