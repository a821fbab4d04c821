"""The children of one server process: started when needed, shared by its threads, replaced."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from records.dicom.sandbox.wire import OUT_OF_MEMORY, receive_message, send_message

CODE = Path(__file__).resolve().parents[3]
NURSERY = "records.dicom.sandbox.nursery"
START_SECONDS = 60.0
BUSY_FACTOR = 10
FILES_PER_CHILD = 500
GROWN_BYTES = 320 * 1024 * 1024
"""A child that has ever held so much goes: what it gives back may not reach the system."""

PASSED_ON = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE", "TZ")


class TimeExceeded(Exception):
    """A child took longer than it was given, and was killed."""


class MemoryExceeded(Exception):
    """A child took more memory than it was given, and couldn't even say so."""


class ChildDied(Exception):
    """A child ended, or spoke nonsense, while it had a file in hand."""


class ChildKilled(Exception):
    """A child was ended by somebody else: it sets itself no limit that ends it so."""


class NurseryGone(RuntimeError):
    """No child can be had: the nursery did not start, or was killed."""


@dataclass(slots=True)
class Child:
    """One process that reads files, as its server process sees it."""

    pid: int
    channel: socket.socket
    files: int = 0

    def says_something(self, seconds: float = 0) -> bool:
        """Whether an answer, or the end of one that died, can be read within `seconds`."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    @property
    def is_starved(self) -> bool:
        """Whether it would go on if only there were a processor for it."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] == "R"


class Nursery:
    """The program that children are forked from (`records.dicom.sandbox.nursery`)."""

    def __init__(self) -> None:
        """Start it; it is ready some time later, and asking it waits until then."""
        self._lock = threading.Lock()
        self._server, theirs = socket.socketpair()
        self._server.settimeout(START_SECONDS)
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
                [sys.executable, "-P", "-m", NURSERY],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_clean_environment(),
                cwd="/",
                start_new_session=True,
            )

    def fork(self) -> Child:
        """Return a new child; raises NurseryGone."""
        ours, theirs = socket.socketpair()
        with theirs:
            pid = self._ask(["child"], files=[theirs.fileno()])
        return Child(pid, ours)

    def end(self, child: Child) -> int:
        """Kill a child; return what it died of (`records.dicom.sandbox.nursery`)."""
        child.channel.close()
        return int(self._ask(["end", child.pid]))

    def stop(self) -> None:
        """End it and all its children."""
        self._server.close()
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Let go of it in a process that was forked from the one it serves."""
        self._server.close()

    def _ask(self, order: list[object], files: Sequence[int] = ()) -> Any:
        with self._lock:
            try:
                send_message(self._server, order, files=files)
                return receive_message(self._server)[0]
            except BaseException as error:
                # Its answer may still come, and would be taken for that of the next order.
                self.process.kill()
                self.process.wait()
                if isinstance(error, OSError | EOFError | ValueError):
                    raise NurseryGone from error
                raise


def _clean_environment() -> dict[str, str]:
    """No secret and no address: what the interpreter needs, and one thread for each child."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    return kept | single | {"PYTHONPATH": str(CODE)}


class Pool:
    """Children that wait for files; at most `size` read at once, the others' callers wait."""

    def __init__(self, size: int) -> None:
        """Nothing is started before the first file."""
        self._size = size
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self._size)
        self._idle: list[Child] = []
        self._nursery: Nursery | None = None

    def start(self) -> Nursery:
        """Start the nursery unless it runs."""
        with self._lock:
            if self._nursery is None or self._nursery.process.poll() is not None:
                for child in self._idle:
                    child.channel.close()
                self._idle.clear()
                self._nursery = Nursery()
            return self._nursery

    def stop(self) -> None:
        """End everything that was started."""
        with self._lock:
            if self._nursery is not None:
                self._nursery.stop()
            for child in self._idle:
                child.channel.close()
            self._reset()

    def forget(self) -> None:
        """Begin anew in a process that was just forked: these children answer its parent."""
        if self._nursery is not None:
            self._nursery.forget()
        for child in self._idle:
            child.channel.close()
        self._reset()

    def ask(self, message: dict[str, Any], *, files: Sequence[int], seconds: float) -> Any:
        """Have a child answer.

        Raises TimeExceeded, MemoryExceeded and ChildDied, after which it is gone.
        """
        with self._slots:
            nursery = self.start()
            child = self._take(nursery)
            try:
                answer = _exchange(child, message, files, seconds)
                child.files += 1
                is_worn = child.files >= FILES_PER_CHILD or answer["grown"] > GROWN_BYTES
            except BaseException as error:
                self._raise_death(nursery, child, error)
                raise
            if is_worn:
                nursery.end(child)
            else:
                with self._lock:
                    self._idle.append(child)
            return answer

    def _take(self, nursery: Nursery) -> Child:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return nursery.fork()
            if not child.says_something():
                return child
            nursery.end(child)

    def _raise_death(self, nursery: Nursery, child: Child, error: BaseException) -> None:
        """End a child that didn't answer, and say why; other errors are the caller's own."""
        died_of = nursery.end(child)
        if isinstance(error, TimeoutError) or died_of == signal.SIGXCPU:
            raise TimeExceeded from error
        if died_of == -OUT_OF_MEMORY:
            raise MemoryExceeded from error
        if died_of == signal.SIGKILL and isinstance(error, OSError | EOFError):
            raise ChildKilled from error
        if isinstance(error, OSError | EOFError | ValueError | LookupError | TypeError):
            raise ChildDied(f"signal {died_of}") from error


def _exchange(
    child: Child, message: dict[str, Any], files: Sequence[int], seconds: float
) -> dict[str, Any]:
    """Send a question and wait for its answer for `seconds`.

    Where the machine is too busy to let the child run, it is given longer: the kernel ends it
    anyway once it has had `seconds` of processor time.
    """
    last = time.monotonic() + BUSY_FACTOR * seconds
    child.channel.settimeout(seconds)
    send_message(child.channel, message, files=files)
    while not child.says_something(seconds):
        if time.monotonic() > last or not child.is_starved:
            raise TimeoutError
    answer, _ = receive_message(child.channel, deadline=time.monotonic() + seconds)
    if not isinstance(answer, dict):
        raise TypeError("not an answer")
    return answer
