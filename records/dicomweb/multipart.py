"""Multipart messages (RFC 2046), read and written a piece at a time."""

import re
import secrets
from collections.abc import Iterable, Iterator

from django.utils.http import parse_header_parameters

from records.errors import MultipartBroken
from records.files.spool import Readable

READ_BYTES = 256 * 1024
LONGEST_HEADERS = 16 * 1024
LONGEST_PADDING = 64
LONGEST_BOUNDARY = 200
DELIMITER_END = re.compile(rb"--|[ \t]*\r\n")
CHARACTERS = re.compile(r"[ -~]+")


class Part:
    """One part: its headers, in lower case, and its content, to be read before the next part."""

    def __init__(self, headers: dict[str, str], reader: "MultipartReader") -> None:
        """Belong to a reader."""
        self.headers = headers
        self._reader = reader

    def read(self, size: int = -1, /) -> bytes:
        """Return some of the content, none at its end; raises MultipartBroken."""
        return self._reader.read_content(size if size > 0 else READ_BYTES)

    @property
    def media_type(self) -> str:
        """What the part says it is, without parameters."""
        return parse_header_parameters(self.headers.get("content-type", ""))[0]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of its Content-Type."""
        return parse_header_parameters(self.headers.get("content-type", ""))[1]


class MultipartReader:
    """The parts of a body, one after another, with no more than some hundred KB in memory.

    A body that ends before its closing delimiter is refused (MultipartBroken): its last part
    may have been cut short.
    """

    def __init__(self, source: Readable, boundary: str) -> None:
        """Read from `source`; raises MultipartBroken for an impossible boundary."""
        if not CHARACTERS.fullmatch(boundary) or len(boundary) > LONGEST_BOUNDARY:
            raise MultipartBroken(detail="it names no boundary")
        self._source = source
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._margin = len(self._delimiter) + LONGEST_PADDING
        # The first delimiter may be the very first line.
        self._buffer = bytearray(b"\r\n")
        self._is_in_part = True
        self._is_over = False

    def __iter__(self) -> Iterator[Part]:
        """Yield the parts; what is left unread of one is skipped."""
        while True:
            while self.read_content(READ_BYTES):
                pass
            if self._is_over:
                return
            self._is_in_part = True
            yield Part(self._read_headers(), self)

    def read_content(self, size: int) -> bytes:
        """Return up to `size` bytes of the part in hand, none at its end."""
        while self._is_in_part:
            at, end = self._find_delimiter()
            if at == 0:
                self._is_in_part = False
                self._is_over = self._buffer[end - 2 : end] == b"--"
                del self._buffer[:end]
            else:
                ready = at if at > 0 else len(self._buffer) - self._margin
                if ready > 0:
                    return self._take(min(ready, size))
                self._fill()
        return b""

    def _find_delimiter(self) -> tuple[int, int]:
        """Where the next delimiter begins and ends in the buffer; (-1, -1) where there is none."""
        start = 0
        while (at := self._buffer.find(self._delimiter, start)) >= 0:
            found = DELIMITER_END.match(self._buffer, at + len(self._delimiter))
            if found:
                return at, found.end()
            start = at + 1
        return -1, -1

    def _read_headers(self) -> dict[str, str]:
        """Read up to the empty line; the line before it ended with the delimiter's own."""
        while not self._buffer.startswith(b"\r\n"):
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                return _parse_headers(self._take(end + 4))
            if len(self._buffer) > LONGEST_HEADERS:
                raise MultipartBroken(detail="the headers of a part don't end")
            self._fill()
        self._take(2)
        return {}

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> None:
        data = self._source.read(READ_BYTES)
        if not data:
            raise MultipartBroken(detail="it ends before its closing delimiter")
        self._buffer += data


def _parse_headers(block: bytes) -> dict[str, str]:
    headers = {}
    for line in block.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


def new_boundary() -> str:
    """A boundary that no content holds."""
    return secrets.token_hex(16)


def write_parts(
    parts: Iterable[tuple[dict[str, str], Iterable[bytes]]], *, boundary: str
) -> Iterator[bytes]:
    """Yield a multipart body from parts of headers and content, a piece at a time."""
    for headers, content in parts:
        lines = [f"--{boundary}", *(f"{name}: {value}" for name, value in headers.items())]
        yield "\r\n".join([*lines, "", ""]).encode()
        yield from content
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
