"""Images in a directory: flushed to disk and renamed into place before any row points there."""

import datetime as dt
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from records.errors import ContentMismatch
from records.stores import Listed, Spooled, content_of

DIRECTORY_MODE = 0o700


class LocalStore(FileSystemStorage):
    """A directory on the file system of the spool, so that a rename publishes a file whole."""

    def add(self, files: Sequence[Spooled]) -> None:
        """Flush the files, rename them, then flush the directories. Raises ContentMismatch."""
        top = Path(self.location)
        make_private(top)
        changed = {top}
        for file in files:
            target = Path(self.path(file.name))
            # Also where it is there already: whoever put it there may not have come so far yet.
            changed.update(target.parents[:2])
            if target.exists():
                _check_same(target, file)
                continue
            for directory in reversed(target.parents[:2]):
                directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            flush(file.path)
            file.path.replace(target)
        # After all the names and not one by one: the disk is waited for once, not for every file.
        for directory in sorted(changed):
            flush(directory)

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


def _check_same(target: Path, file: Spooled) -> None:
    if target.stat().st_size == file.size:
        with target.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256:
                return
    raise ContentMismatch(sha256=file.sha256)
