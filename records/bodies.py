"""The body of a request as a stream, whether its length is declared or it comes in chunks."""

from django.http import HttpRequest

from records.errors import BodyBroken, LengthRequired
from records.files.spool import Readable


def is_chunked(request: HttpRequest) -> bool:
    """Whether a body comes in chunks, and only its end tells its length."""
    return "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def body_stream(request: HttpRequest) -> Readable:
    """Return the stream of a request's body; raises LengthRequired.

    Django reads as much as CONTENT_LENGTH says, and so nothing of a chunked body. A server that
    ends its stream with the body (`wsgi.input_terminated`, as gunicorn's does) can be read
    itself.
    """
    if not is_chunked(request):
        return request
    if not request.META.get("wsgi.input_terminated"):
        raise LengthRequired
    return _Chunks(request.META["wsgi.input"])


class _Chunks:
    """A body that comes in chunks, whose framing a server may find broken while it is read."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._stream.read(size)
        except OSError:  # the sender went, which every reader knows
            raise
        except Exception as error:
            raise BodyBroken from error
