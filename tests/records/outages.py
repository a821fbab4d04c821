"""Stores that go away: moved, not mounted, stalled, another's; and come back."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from records.files.stores import MARKER, forget_store

PIECE = 64 * 1024

LOCAL = ("moved", "not mounted", "stalled", "not readable")
SERVICE = ("refused", "stalled")


class Wire:
    """Forwards connections to a port until it is told to cut or to stall them."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_cut = False
        self._is_flowing = threading.Event()
        self._is_flowing.set()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def out_of_order(self, how: str) -> Iterator[None]:
        """Cut every connection ("refused"), or let nothing through ("stalled")."""
        if how == "refused":
            self._is_cut = True
            self._drop()
        else:
            self._is_flowing.clear()
        try:
            yield
        finally:
            self._is_cut = False
            self._drop()
            self._is_flowing.set()

    def close(self) -> None:
        self._listener.close()
        self._drop()

    def _drop(self) -> None:
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._is_cut:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                self._is_flowing.wait()
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.close()


@contextmanager
def service_away(wire: Wire, how: str) -> Iterator[None]:
    """What becomes of a service that can't be reached."""
    with wire.out_of_order(how):
        forget_store()
        yield
    forget_store()


@contextmanager
def directory_away(directory: Path, how: str) -> Iterator[None]:
    """What becomes of a directory whose volume goes; it is whole again at the end."""
    aside = directory.with_name("elsewhere")
    directory.rename(aside)
    forget_store()
    try:
        if how == "not mounted":
            directory.mkdir()
        elif how == "stalled":
            _make_stalling(aside, directory)
        elif how == "not readable":
            # What a failing network file system says of everything in it, root or not.
            directory.symlink_to(directory)
        yield
        if how == "not mounted":
            assert list(directory.iterdir()) == [], "something was made where nothing is mounted"
        if how == "moved":
            assert not directory.exists(), "the store was made anew"
    finally:
        _remove(directory)
        aside.rename(directory)
        forget_store()


def _make_stalling(original: Path, place: Path) -> None:
    """The same names, each of which hangs whoever opens it."""
    for path in original.rglob("*"):
        if path.is_file():
            stalling = place / path.relative_to(original)
            stalling.parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(stalling)
    assert (place / MARKER).is_fifo()


def _remove(place: Path) -> None:
    if place.is_symlink():
        place.unlink()
        return
    if not place.exists():
        return
    for path in sorted(place.rglob("*"), reverse=True):
        if path.is_fifo():
            _wake(path)
        path.rmdir() if path.is_dir() else path.unlink()
    place.rmdir()


def _wake(fifo: Path) -> None:
    """Let go whoever hangs in opening it."""
    with suppress(OSError):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
