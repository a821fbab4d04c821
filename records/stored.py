"""Stored files on their way out: found, and the very bytes that were received."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files import File

from records.errors import StoredFileDamaged, StoredFileMissing
from records.models import Damage, Instance, QuarantinedFile


def open_stored(instance: Instance) -> File:
    """Open the file of an instance for reading.

    Raises StoredFileMissing, and StoredFileDamaged where the scrubber has found damage.
    """
    if instance.damage == Damage.ALTERED:
        raise StoredFileDamaged
    return open_file(instance)


def open_file(kept: Instance | QuarantinedFile) -> File:
    """Open a stored file, whatever is known of it. Raises StoredFileMissing."""
    try:
        opened: File = kept.file.storage.open(str(kept.file.name), "rb")
    except FileNotFoundError as error:
        raise StoredFileMissing from error
    return opened


@contextmanager
def open_verified(instance: Instance) -> Iterator[File]:
    """Open the file of an instance once its content was compared with its hash.

    A millisecond for a slice, so that no picture is drawn and no answer given from other bytes
    than those that were received. Raises StoredFileMissing and StoredFileDamaged.
    """
    with open_stored(instance) as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != instance.sha256:
            raise StoredFileDamaged
        stream.seek(0)
        yield stream


def check_untouched(instance: Instance) -> None:
    """Make sure that the file of an instance is as it was when its row was written.

    Costs a look at its dates. One that was touched since is read and compared with its hash; an
    object store, where nothing is changed in place, isn't asked. Raises StoredFileMissing and
    StoredFileDamaged.
    """
    if instance.damage == Damage.ALTERED:
        raise StoredFileDamaged
    try:
        changed_at = Path(instance.file.path).stat().st_ctime
    except NotImplementedError:
        return
    except FileNotFoundError as error:
        raise StoredFileMissing from error
    if changed_at > instance.created_at.timestamp():
        with open_verified(instance):
            pass
