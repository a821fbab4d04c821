"""Calls that may hang, as those to a network file system do: waited for no longer than they say.

What hangs can't be stopped, only left behind: its thread ends when the call does.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from records.errors import StoreUnavailable
from records.files.stores.files import Alive

Found = TypeVar("Found")

MOST_HANGING = 16
"""Threads that one process leaves behind; beyond it, calls fail at once until one has ended."""

_hanging = 0
_counting = threading.Lock()


def bounded(work: Callable[[Alive], Found], *, seconds: float) -> Found:
    """Do work in a thread of its own, and leave it behind once it has said nothing for so long.

    Raises StoreUnavailable then, and whatever the work raises.
    """
    if _hanging >= MOST_HANGING:
        raise StoreUnavailable(reason=f"{_hanging} calls to it hang")
    call = _Call(work)
    threading.Thread(target=call.run, name="store", daemon=True).start()
    return call.wait(seconds)


class _Call(Generic[Found]):
    """One call, and what came of it."""

    def __init__(self, work: Callable[[Alive], Found]) -> None:
        self._work = work
        self._found: Found | None = None
        self._error: BaseException | None = None
        self._alive_at = time.monotonic()
        self._ended = threading.Event()
        self._is_left = False

    def run(self) -> None:
        """Do the work; what it opened after everybody had gone is closed."""
        try:
            self._found = self._work(self._note_alive)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
        with _counting:
            self._ended.set()
            is_left = self._is_left
            if is_left:
                _count(-1)
        close = getattr(self._found, "close", None)
        if is_left and close is not None:
            close()

    def wait(self, seconds: float) -> Found:
        """Return what was found, or raise what went wrong."""
        while not self._ended.wait(max(self._alive_at + seconds - time.monotonic(), 0)):
            if time.monotonic() - self._alive_at >= seconds:
                self._leave(seconds)
        if self._error is not None:
            raise self._error
        return self._found  # type: ignore[return-value]  # there, unless there is an error

    def _note_alive(self) -> None:
        self._alive_at = time.monotonic()

    def _leave(self, seconds: float) -> None:
        with _counting:
            if self._ended.is_set():
                return
            self._is_left = True
            _count(1)
        raise StoreUnavailable(reason=f"it said nothing for {seconds:g} s")


def _count(more: int) -> None:
    global _hanging  # noqa: PLW0603 - of the process, as its threads are
    _hanging += more
