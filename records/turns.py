"""One at a time among the processes that a worker has forked."""

import contextlib
import fcntl
import os
from collections.abc import Iterator


class Turn:
    """A lock that is this object's in all processes forked after it was made.

    The kernel takes it back from a process that dies, so nothing has to be tidied up.
    """

    def __init__(self, name: str) -> None:
        self._file = os.memfd_create(name)

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold it meanwhile; False, and nothing held, where another process does."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
