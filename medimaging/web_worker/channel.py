"""A client's socket as the thread of its request sees it: patient, but not for ever."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import BinaryIO

ANSWER_BYTES = 2 * 1024 * 1024
"""So much of an answer waits here for a slow reader, without a thread: more than any page."""

FILE_BYTES_PER_SECOND = 4 * 1024
"""On average, a file comes or goes at least this fast once its client's grace is over."""

RECEIVE_BYTES = 64 * 1024
FILE_READ_BYTES = 512 * 1024


class Channel:
    """Gives the thread the bytes of its request alone, and takes the answer from it.

    A sender or reader who is too slow is treated like one who has hung up: the request ends
    there, the answer goes nowhere. The socket itself never blocks.
    """

    def __init__(self, sock: socket.socket, *, silence: float) -> None:
        """`silence` is how long a file may stand still, in seconds."""
        self._socket = sock
        self._silence = silence
        self._is_asked_to_continue = False
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.may_stream: Callable[[], bool] = lambda: False
        self.begin(may_read=False)
        sock.settimeout(0)

    def begin(self, *, may_read: bool) -> None:
        """Forget the request before; `may_read` where the body still comes."""
        self.may_read = may_read
        self.received = 0
        self.patience = self._silence
        self.is_broken = False
        self._is_asked_to_continue = False

    def receive_now(self) -> bytes | None:
        """Return what has come, nothing at the end, or None where nothing has come yet."""
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None

    def recv(self, size: int) -> bytes:
        """Return bytes of the request; none at its end, or when its sender is too slow."""
        if self.incoming:
            data = bytes(self.incoming[:size])
            del self.incoming[:size]
            return data
        while self.may_read and not self.is_broken:
            try:
                data = self._socket.recv(size)
            except BlockingIOError:
                self.is_broken = not self._wait(select.POLLIN)
                continue
            self.received += len(data)
            self.patience += len(data) / FILE_BYTES_PER_SECOND
            return data
        return b""

    def send(self, data: bytes) -> int:
        """Send an interim answer, "go on" only once; raises BrokenPipeError."""
        if not (self._is_asked_to_continue and data.startswith(b"HTTP/1.1 100 ")):
            self.sendall(data)
        return len(data)

    def ask_to_continue(self) -> None:
        """Tell a client that waits for it to send its body."""
        self._is_asked_to_continue = True
        self.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def sendall(self, data: bytes) -> None:
        """Send what the client takes at once and keep some of the rest; raises BrokenPipeError."""
        self.outgoing += data
        self.flush()
        while len(self.outgoing) > ANSWER_BYTES:
            if self.is_broken or not self.may_stream() or not self._wait(select.POLLOUT):
                self.is_broken = True
                raise BrokenPipeError(errno.EPIPE, "The client reads too slowly")
            self.flush()

    def flush(self) -> None:
        """Send what the client takes now."""
        while self.outgoing:
            try:
                sent = self._socket.send(self.outgoing)
            except BlockingIOError:
                return
            self.patience += sent / FILE_BYTES_PER_SECOND
            del self.outgoing[:sent]

    def sendfile(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send a part of a file; raises BrokenPipeError."""
        end = offset + count
        while offset < end:
            data = os.pread(file.fileno(), min(FILE_READ_BYTES, end - offset), offset)
            if not data:
                return
            self.sendall(data)
            offset += len(data)

    def _wait(self, event: int) -> bool:
        """Wait until the client goes on; False when it was given time enough."""
        seconds = min(self._silence, self.patience)
        if seconds <= 0:
            return False
        poller = select.poll()
        poller.register(self._socket, event)
        begun = time.monotonic()
        is_ready = bool(poller.poll(seconds * 1000))
        self.patience -= time.monotonic() - begun
        return is_ready

    def fileno(self) -> int:
        """The socket's number, -1 once it is closed."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as sockets have it
        """Change nothing: gunicorn asks for a socket that blocks, and gets one that seems to."""

    def settimeout(self, seconds: float | None) -> None:
        """Change nothing: the channel has limits of its own."""

    def gettimeout(self) -> float:
        """As of a socket that never blocks."""
        return 0.0

    def shutdown(self, how: int) -> None:
        """End one direction, or both; nothing more is read for the request."""
        self.may_read = False
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
