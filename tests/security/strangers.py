"""Anonymous callers who hold connections and say as little as they can."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

COOKIE = "csrftoken=" + "a" * 32
FORM = (
    "POST /sign-in/ HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nReferer: {origin}/\r\n"
    f"Cookie: {COOKIE}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)
SCRIPT = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
OPENINGS = {
    "idle": "",
    "heads": "GET /sign-in/ HTTP/1.1\r\nHost: {host}\r\nX-Slow: ",
    "forms": FORM + "Content-Length: 5000\r\n\r\nusername=",
    "chunks": FORM + "Transfer-Encoding: chunked\r\n\r\nfff\r\nusername=",
    "uploads": "POST /dicomweb/studies HTTP/1.1\r\nHost: {host}\r\n"
    'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
    "Content-Length: 900000000\r\n\r\n--b\r\n",
    "readers": f"GET {SCRIPT} HTTP/1.1\r\nHost: {{host}}\r\n\r\n",
}
"""What each kind of stranger says at once; after that comes a byte a second at most."""


@dataclass
class Door:
    """Where strangers and others come in."""

    address: str
    port: int
    tls: ssl.SSLContext | None = None
    host: str = "localhost"

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def connect(self, *, receive_bytes: int = 0, seconds: float = 20) -> socket.socket:
        """A connection, with its handshake done."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        plain = socket.socket(family, socket.SOCK_STREAM)
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.settimeout(seconds)
        plain.connect((self.address, self.port))
        return self.tls.wrap_socket(plain, server_hostname="localhost") if self.tls else plain

    def seconds_for(self, path: str, **headers: str) -> float:
        """How long it takes to be told 200 over a connection of one's own."""
        begun = time.monotonic()
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = self.connect()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)
        connection.close()
        return time.monotonic() - begun


@dataclass
class Crowd:
    """Strangers of some kinds who come back whenever they are hung up on."""

    door: Door
    kinds: list[str]
    returns: int = 0
    _held: dict[int, socket.socket] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def present(self) -> Iterator[None]:
        """Have them all there, dripping, until the end."""
        for number in range(len(self.kinds)):
            self._come(number)
        dripping = threading.Thread(target=self._drip)
        dripping.start()
        try:
            yield
        finally:
            self._over.set()
            dripping.join()
            for connection in self._held.values():
                connection.close()

    def _come(self, number: int) -> None:
        kind = self.kinds[number]
        with suppress(OSError):
            connection = self.door.connect(receive_bytes=2048 if kind == "readers" else 0)
            self._held[number] = connection
            said = OPENINGS[kind].format(host=self.door.host, origin=self.door.origin)
            if said:
                connection.sendall(said.encode())

    def _drip(self) -> None:
        while not self._over.wait(1):
            for number, kind in enumerate(self.kinds):
                if not self._still_there(number, kind):
                    self.returns += 1
                    self._come(number)

    def _still_there(self, number: int, kind: str) -> bool:
        connection = self._held.get(number)
        if connection is None:
            return False
        try:
            if kind not in ("idle", "readers"):
                connection.sendall(b"a")
            return kind == "readers" or not _has_been_answered(connection)
        except OSError:
            return False


def _has_been_answered(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        connection.recv(65536)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        connection.settimeout(20)
    return True


def watch(look: Callable[[], float], *, seconds: float) -> list[float]:
    """How long each look took, for so long."""
    until, took = time.monotonic() + seconds, []
    while time.monotonic() < until:
        took.append(look())
        time.sleep(0.1)
    return took
