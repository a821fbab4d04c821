"""The application that gunicorn calls: Django's own, for requests that it would stumble over."""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest


class ReadableRequest(WSGIRequest):
    """A request whose Content-Type names a charset that turns no bytes into text is in UTF-8.

    Python knows codecs such as rot13 that aren't text encodings. Django raises for them before
    any middleware runs, so that nobody would answer.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # not in the stubs
        except LookupError:
            self._encoding = None


class Application(WSGIHandler):
    """Answers requests."""

    request_class = ReadableRequest
