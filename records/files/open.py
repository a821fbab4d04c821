"""Stored files on their way out: found, and the very bytes that were received.

A file is missing only where the store was there, before and after, and hadn't got it. Whatever
else keeps it from being read is the store's fault, but for a disk that can't read this one file.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from django.core.files import File

from records.choices import Damage
from records.errors import StoredFileDamaged, StoredFileMissing, StoreUnavailable
from records.files.stores import Alive, check_store, ensure_store, image_store
from records.files.stores.files import digest_of
from records.models import Instance, QuarantinedFile

Found = TypeVar("Found")

READ_SECONDS = 5
"""So long a store may say nothing in the middle of a file."""


def open_stored(instance: Instance) -> File:
    """Open the file of an instance for reading.

    Raises StoredFileMissing and StoreUnavailable, and StoredFileDamaged where the scrubber has
    found damage.
    """
    if instance.damage == Damage.ALTERED:
        raise StoredFileDamaged
    return open_file(instance)


def open_file(kept: Instance | QuarantinedFile) -> File:
    """Open a stored file, whatever is known of it.

    Raises StoredFileMissing, StoredFileDamaged where it can't be read, and StoreUnavailable.
    """

    def begin(alive: Alive) -> File:
        opened = image_store().open(str(kept.file.name), "rb")
        # A service sends the bytes only now: what fails does so before anything is answered.
        opened.read(1)
        opened.seek(0)
        return opened

    return _read(begin)


def find_digest(kept: Instance | QuarantinedFile) -> str:
    """Read a stored file and return its SHA-256; else as `open_file`."""
    opened, found = _read(_opened_with_digest(kept))
    opened.close()
    return found


@contextmanager
def open_verified(instance: Instance) -> Iterator[File]:
    """Open the file of an instance once its content was compared with its hash.

    A millisecond for a slice, so that no picture is drawn and no answer given from other bytes
    than those that were received. Raises StoredFileMissing, StoredFileDamaged and
    StoreUnavailable.
    """
    if instance.damage == Damage.ALTERED:
        raise StoredFileDamaged
    opened, found = _read(_opened_with_digest(instance))
    with opened as stream:
        if found != instance.sha256:
            raise StoredFileDamaged
        yield stream


def check_untouched(instance: Instance) -> None:
    """Make sure that the file of an instance is as it was when its row was written.

    Costs a look at its dates. One that was touched since is read and compared with its hash; an
    object store, where nothing is changed in place, isn't asked. Raises StoredFileMissing,
    StoredFileDamaged and StoreUnavailable.
    """
    if instance.damage == Damage.ALTERED:
        raise StoredFileDamaged
    try:
        path = Path(instance.file.path)
    except NotImplementedError:
        return
    changed_at = _read(lambda _: path.stat().st_ctime)
    if changed_at > (instance.healed_at or instance.created_at).timestamp():
        with open_verified(instance):
            pass


def is_whole(instance: Instance) -> bool:
    """Whether the store has the file of an instance as it should be, as far as a look tells.

    Raises StoreUnavailable.
    """
    if instance.damage:
        return False
    try:
        check_untouched(instance)
    except (StoredFileMissing, StoredFileDamaged):
        return False
    if image_store().size_of(str(instance.file.name)) == instance.size_bytes:
        return True
    check_store()
    return False


def _opened_with_digest(kept: Instance | QuarantinedFile) -> Callable[[Alive], "_Digested"]:
    def read(alive: Alive) -> _Digested:
        opened = image_store().open(str(kept.file.name), "rb")
        try:
            found = digest_of(opened, alive)
            opened.seek(0)
        except BaseException:
            opened.close()
            raise
        return _Digested((opened, found))

    return read


class _Digested(tuple[File, str]):
    """An open file and its SHA-256; closed where nobody waits for it any more."""

    __slots__ = ()

    def close(self) -> None:
        """Close the file."""
        self[0].close()


def _read(work: Callable[[Alive], Found]) -> Found:
    """Do what reads a file, and tell what is wrong with the file from what is with the store."""
    ensure_store()
    try:
        return _tried(work)
    except FileNotFoundError:
        check_store()
    # It may have been away for that moment alone.
    try:
        return _tried(work)
    except FileNotFoundError as error:
        check_store()
        raise StoredFileMissing from error


def _tried(work: Callable[[Alive], Found]) -> Found:
    try:
        return image_store().within(work, seconds=READ_SECONDS)
    except FileNotFoundError:
        raise
    except OSError as error:
        check_store()
        if error.errno == errno.EIO:
            raise StoredFileDamaged from error
        raise StoreUnavailable(reason=error.strerror or type(error).__name__) from error
