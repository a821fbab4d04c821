"""The body of a request as a stream, whether its length is declared or it comes in chunks."""

from django.http import HttpRequest

from records.errors import LengthRequired
from records.intake.storage import Readable


def body_stream(request: HttpRequest) -> Readable:
    """Return the stream of a request's body; raises LengthRequired.

    Django reads as much as CONTENT_LENGTH says, and so nothing of a chunked body. A server that
    ends its stream with the body (`wsgi.input_terminated`, as gunicorn's does) can be read
    itself.
    """
    is_chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if not is_chunked:
        return request
    if not request.META.get("wsgi.input_terminated"):
        raise LengthRequired
    stream: Readable = request.META["wsgi.input"]
    return stream
