"""What a request is, by its head alone: who has to read it, and whether it is let in."""

import re
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

from gunicorn.config import Config
from gunicorn.http.body import Body, ChunkedReader, EOFReader, LengthReader
from gunicorn.http.message import Request as GunicornRequest
from gunicorn.http.parser import RequestParser

from medimaging.web_worker.channel import Channel

HEAD_BYTES = 64 * 1024
SMALL_FILE_BYTES = 256 * 1024
"""A file up to this size is read like a form, without a thread."""

HEALTH_PATH = "/healthz"
STATE_PATHS = frozenset({"/readyz", "/statusz"})
TAKES_FILES = (
    (re.compile(r"/api/v1/submissions/"), "multipart/form-data"),
    (re.compile(r"/api/v1/submissions/[^/]+/uploads/([^/]+/)?"), ""),
    (re.compile(r"/dicomweb/studies(/[^/]+)?"), ""),
)
"""Where bodies may be large, and of which type; an address spelled otherwise is none of them."""

GIVES_FILES = re.compile(
    r"/(api/v1/)?[a-z-]+/[^/]+/file/|/dicomweb/studies/(?!.*/(rendered|thumbnail)$).+"
)


class Lane(Enum):
    """Whose turn a request waits for."""

    HEALTH = "answered without a thread"
    STATE = "a thread kept for those who ask how everything is"
    SMALL = "a thread that never waits for a network"
    STREAM = "one of the threads that move files"


class Request(GunicornRequest):
    """A request without a declared length has no body, as RFC 9112 (6.3) has it."""

    body: Any

    def set_body_reader(self) -> None:
        """Read as much as is declared, never until the connection ends."""
        super().set_body_reader()
        if isinstance(self.body.reader, EOFReader):
            self.body = Body(LengthReader(self.unreader, 0))


class Parser(RequestParser):
    """gunicorn's own reading of a request, so that there is only one."""

    mesg_class = Request


@dataclass(frozen=True)
class Head:
    """A request whose head has come, and where the rest of it goes."""

    request: Any
    parser: Any
    lane: Lane
    length: int | None
    """Of the body; None where it comes in chunks."""
    refusal: HTTPStatus | None = None


def find_end(data: bytearray) -> int:
    """Return where the head ends, or 0 while it hasn't come whole.

    A head with a bare LF never ends as RFC 9112 has it: the parser is to refuse it now.
    """
    end = data.find(b"\r\n\r\n")
    if end >= 0:
        return end + 4
    return len(data) if data.count(b"\n") != data.count(b"\r\n") else 0


def read_head(config: Config, channel: Channel, client: Any, *, body_limit: int) -> Head:
    """Read the head that the channel holds; raises what gunicorn's parser refuses it with."""
    parser = Parser(config, channel, client)
    request = next(parser)
    reader = request.body.reader
    length = None if isinstance(reader, ChunkedReader) else reader.length
    lane, refusal = _judge(request, length, body_limit)
    return Head(request, parser, lane, length, refusal)


def _judge(request: Any, length: int | None, limit: int) -> tuple[Lane, HTTPStatus | None]:
    if request.method in ("GET", "HEAD") and length == 0:
        if request.path == HEALTH_PATH:
            return Lane.HEALTH, None
        if request.path in STATE_PATHS:
            return Lane.STATE, None
        return (Lane.STREAM if GIVES_FILES.fullmatch(request.path) else Lane.SMALL), None
    if length is not None and length <= min(SMALL_FILE_BYTES, limit):
        return Lane.SMALL, None
    if _takes_files(request):
        return Lane.STREAM, None
    if length is None:
        return Lane.SMALL, HTTPStatus.LENGTH_REQUIRED
    return Lane.SMALL, HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length > limit else None


def _takes_files(request: Any) -> bool:
    stated = header_of(request, "CONTENT-TYPE").lower()
    return request.method in ("POST", "PATCH", "PUT") and any(
        address.fullmatch(request.path) and stated.startswith(media_type)
        for address, media_type in TAKES_FILES
    )


def header_of(request: Any, name: str) -> str:
    """Return a header of a request, joined where it was repeated."""
    return ",".join(value for key, value in request.headers if key == name)
