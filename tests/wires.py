"""A wire to a server that can fall silent, as networks do: sockets open, and nothing moves."""

import contextlib
import socket
import threading
from pathlib import Path

PIECE = 64 * 1024


class Wire:
    """Forwards TCP connections to a Unix socket; `stall` stops what moves, without a word."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._gates: list[threading.Event] = []
        self._is_stalled = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def redis_url(self) -> str:
        """Where a client finds the Redis behind it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def stall(self, *, only_existing: bool = False) -> None:
        """Let nothing move any more; or nothing on the connections that there are."""
        self._is_stalled = not only_existing
        for gate in self._gates:
            gate.clear()

    def resume(self) -> None:
        """Let everything move again."""
        self._is_stalled = False
        for gate in self._gates:
            gate.set()

    def close(self) -> None:
        """Take no more connections, and let go of those that wait."""
        self._listener.close()
        self.resume()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            gate = threading.Event()
            self._gates.append(gate)
            if not self._is_stalled:
                gate.set()
            threading.Thread(target=self._connect, args=(client, gate), daemon=True).start()

    def _connect(self, client: socket.socket, gate: threading.Event) -> None:
        gate.wait()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.target))
        except OSError:
            client.close()
            return
        threading.Thread(target=_pump, args=(client, server, gate), daemon=True).start()
        _pump(server, client, gate)


def _pump(source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            gate.wait()
            target.sendall(piece)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
