"""Servers that stop without a word: stopped processes, and wires on which nothing moves."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


def servers(program: str, *, parent: int | None = None) -> list[psutil.Process]:
    """The processes called `program` below `parent`, this process unless told otherwise."""
    found = []
    for process in psutil.Process(parent or os.getpid()).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if process.name() == program:
                found.append(process)
    return found


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """Keep processes from running: their sockets stay open, and nobody answers."""
    assert processes
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                process.suspend()
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


class Wire:
    """A Unix socket that leads to another, until it is told that nothing moves any more.

    What is connected then stays so and carries nothing; who connects later gets through.
    """

    def __init__(self, path: Path, target: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._moves = threading.Event()
        self._moves.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Let nothing move on the connections that are open now."""
        self._moves.clear()
        self._moves = threading.Event()
        self._moves.set()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._target))
                for pair in ((client, server), (server, client)):
                    arguments = (*pair, self._moves)
                    threading.Thread(target=_pump, args=arguments, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, moves: threading.Event) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            if not moves.is_set():
                moves.wait(60)
                return
            target.sendall(piece)
    for end in (source, target):
        end.close()
