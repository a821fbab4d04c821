"""Images in a directory: flushed to disk and renamed into place before any row points there."""

import datetime as dt
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage

from records.errors import StoreUnavailable
from records.files.stores.bounded import bounded
from records.files.stores.files import (
    DAMAGED,
    MARKER,
    Alive,
    Found,
    Listed,
    Spooled,
    content_of,
    digest_of,
)

logger = logging.getLogger(__name__)

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
ADD_SECONDS = 15
"""For one file: what takes a disk longer to flush isn't a disk that images can be put on."""
LOOK_SECONDS = 5


class LocalStore(FileSystemStorage):
    """A directory on the file system of the spool, so that a rename publishes a file whole.

    It may be the mount point of a volume that isn't there: nothing is made or removed where the
    marker is missing.
    """

    def add(self, files: Sequence[Spooled]) -> None:
        """Flush the files, rename them, then flush the directories. Raises StoreUnavailable."""
        self.within(lambda alive: self._add(files, alive), seconds=ADD_SECONDS)

    def _add(self, files: Sequence[Spooled], alive: Alive) -> None:
        self._check_there()
        changed = {self._top}
        for file in files:
            target = Path(self.path(file.name))
            # Also where it is there already: whoever put it there may not have come so far yet.
            changed.update(target.parents[:2])
            is_there = target.exists()
            if is_there and _is_same(target, file, alive):
                continue
            for directory in reversed(target.parents[:2]):
                directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            if is_there:
                changed.add(self._keep_damaged(target))
            flush(file.path)
            file.path.replace(target)
            alive()
        # After all the names and not one by one: the disk is waited for once, not for every file.
        for directory in sorted(changed):
            flush(directory)
            alive()

    def within(self, work: Callable[[Alive], Found], *, seconds: float) -> Found:
        """Do it in a thread that can be left behind: a network file system may never answer."""
        return bounded(work, seconds=seconds)

    def size_of(self, name: str) -> int | None:
        """Ask the directory."""
        try:
            return self.within(lambda _: Path(self.path(name)).stat().st_size, seconds=LOOK_SECONDS)
        except FileNotFoundError:
            self._check_there()
            return None
        except OSError as error:
            raise _unavailable(error) from error

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the files below one of the 256 directories."""
        self._check_there()
        for path in sorted((self._top / prefix).glob("*/*")):
            name = path.relative_to(self._top).as_posix()
            if content_of(name) is None:
                continue
            found = path.stat()
            modified_at = dt.datetime.fromtimestamp(found.st_mtime, tz=dt.UTC)
            yield Listed(name, found.st_size, modified_at)

    def delete(self, name: str) -> None:
        """Remove a file, unless the whole store is away: then it will be there again."""
        self._check_there()
        super().delete(name)

    def _save(self, name: str, content: Any) -> str:
        self._check_there()
        return str(super()._save(name, content))  # type: ignore[misc]  # the stubs leave it out

    def read_marker(self, *, seconds: float) -> str | None:
        """Read it within so many seconds."""
        try:
            return self.within(lambda _: self._marker.read_text("ascii"), seconds=seconds)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _unavailable(error) from error

    def write_marker(self, text: str) -> None:
        """Write it beside, then rename it."""
        try:
            make_private(self._top)
            beside = self._marker.with_suffix(f".{os.getpid()}")
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                stream.write(text)
            flush(beside)
            beside.replace(self._marker)
            flush(self._top)
        except OSError as error:
            raise _unavailable(error) from error

    def is_empty(self) -> bool:
        """Look for anything in the 256 directories."""
        return not any(True for _ in self._top.glob("[0-9a-f][0-9a-f]/*/*.dcm"))

    @property
    def _top(self) -> Path:
        return Path(self.location)

    @property
    def _marker(self) -> Path:
        return self._top / MARKER

    def _check_there(self) -> None:
        """Make sure that this is the store and not the empty place where it is mounted."""
        if not self._marker.exists():
            raise StoreUnavailable(reason=f"no {MARKER} in {self._top}")

    def _keep_damaged(self, target: Path) -> Path:
        """Keep what lies under a name, which is about to be replaced, and return its directory.

        By a second name, so that there is no moment at which the first one leads nowhere.
        """
        kept = self._top / DAMAGED / f"{target.stem}.{time.time_ns()}"
        make_private(kept.parent)
        os.link(target, kept)
        logger.error("A damaged file was moved to %s/%s", DAMAGED, kept.name)
        return kept.parent


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


def _is_same(target: Path, file: Spooled, alive: Alive) -> bool:
    if target.stat().st_size != file.size:
        return False
    with target.open("rb") as stream:
        return digest_of(stream, alive) == file.sha256


def _unavailable(error: Exception) -> StoreUnavailable:
    """For the log and those who run the product: what the system said, and no name of a file."""
    said = error.strerror if isinstance(error, OSError) else ""
    return StoreUnavailable(reason=said or type(error).__name__)
