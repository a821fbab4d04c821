"""No answer with a patient's data leaves without a word in the audit trail."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver

from accounts.audit import bind_view, noting
from accounts.reads import declared_reads, forgotten_reads
from medimaging import problems

logger = logging.getLogger(__name__)

Responder = Callable[[HttpRequest], HttpResponseBase]


class ToldReadsMiddleware:
    """Hold back what a view shows of patients unless the trail was told; comes last.

    A view declares in `reads` with which actions it tells. An answer in whose request none of
    them was recorded becomes an error: better no page than a look that nobody can find again.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with noting() as told:
            response = self.get_response(request)
        if request.method == "HEAD" and response.streaming:
            # Nothing of a body leaves; its end is told all the same.
            response.streaming_content = ()  # type: ignore[attr-defined]  # a streaming answer's
        match = request.resolver_match
        if match is None or not _shows(response):
            return response
        declared = declared_reads(match.func, request.method or "")
        if declared is not None and (not declared or declared & told):
            return response
        logger.error("read_untold: %s %s was held back", request.method, match.view_name)
        return problems.server_error(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Stamp events with the view's name."""
        if request.resolver_match is not None:
            bind_view(request.resolver_match.view_name)


def check_every_view_declares() -> None:
    """Refuse to start with a view that forgot its `reads`; raises ImproperlyConfigured."""
    forgotten = sorted(forgotten_reads(get_resolver().url_patterns))
    if forgotten:
        raise ImproperlyConfigured(f"Views without `reads`: {', '.join(forgotten)}.")


def _shows(response: HttpResponseBase) -> bool:
    """Whether an answer has content of the view's own: a form that was refused is a page too."""
    status = response.status_code
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return response.get("Content-Type", "").startswith("text/html")
    return status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_MODIFIED
