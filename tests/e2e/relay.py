"""A wire between a browser and the product: it counts what is sent, and can be made slow."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PIECE = 64 * 1024


class Relay:
    """Forwards every connection to `port`; `sent` counts the bytes that went to the server."""

    def __init__(self, port: int, *, bytes_per_second: float) -> None:
        self.bytes_per_second = bytes_per_second
        self.sent = 0
        self._target = port
        self._counting = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except ConnectionRefusedError:
                client.close()
                continue
            except OSError:
                return
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        _pump(client, server, count=self._count)

    def _count(self, size: int) -> None:
        with self._counting:
            self.sent += size
        time.sleep(size / self.bytes_per_second)


def _pump(
    source: socket.socket,
    target: socket.socket,
    count: Callable[[int], None] = lambda size: None,
) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
            count(len(piece))
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
