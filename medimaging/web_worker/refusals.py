"""What the web server itself refuses, in the words and forms of the product's other refusals."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from django.template.loader import render_to_string

from medimaging.middleware import CONTENT_SECURITY_POLICY
from medimaging.problems import API_PREFIXES, MEDIA_TYPE, problem_type


@dataclass(frozen=True)
class Refusal:
    """A stable code, a sentence for staff, and what to do."""

    code: str
    message: str
    action: str
    retry_after: int = 0


REFUSALS: Mapping[HTTPStatus, Refusal] = {
    HTTPStatus.REQUEST_TIMEOUT: Refusal(
        "request_too_slow",
        "The request took too long to arrive.",
        "Check your connection, then send it again.",
    ),
    HTTPStatus.LENGTH_REQUIRED: Refusal(
        "length_required",
        "The request doesn't say how long it is.",
        "Send a Content-Length. Only files may come in chunks.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Refusal(
        "too_large",
        "The request is larger than anything that is accepted at this address.",
        "Send files from the upload page, or to the addresses that take them.",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: Refusal(
        "too_many_at_once",
        "Your address has too many requests under way.",
        "Let some of them end, then try again.",
        retry_after=10,
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: Refusal(
        "head_too_large",
        "The head of the request is too large.",
        "Delete this site's cookies in your browser, then try again.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: Refusal(
        "too_many_files_at_once",
        "Too many files are on their way at this moment.",
        "Wait a little, then try again.",
        retry_after=10,
    ),
}


class Refusals:
    """Answers made beforehand: refusing is to cost nothing."""

    def __init__(self) -> None:
        """Render the page of each refusal; needs the product's templates."""
        self._pages = {
            status: render_to_string("refused.html", {"error": refusal}).encode()
            for status, refusal in REFUSALS.items()
        }

    @staticmethod
    def code_of(status: HTTPStatus) -> str:
        """The stable code of a refusal."""
        return REFUSALS[status].code

    def answer(
        self, status: HTTPStatus, *, reference: str, method: str = "", path: str = ""
    ) -> bytes:
        """Return the whole answer to a request, as far as it is known; the connection ends."""
        if path.startswith(API_PREFIXES):
            media_type, body = MEDIA_TYPE, _problem(status, reference)
        else:
            media_type, body = "text/html; charset=utf-8", self._pages[status]
        head = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Connection: close",
            f"Content-Type: {media_type}",
            f"Content-Length: {len(body)}",
            f"Content-Security-Policy: {CONTENT_SECURITY_POLICY}",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
            f"X-Request-ID: {reference}",
        ]
        wait = REFUSALS[status].retry_after
        if wait:
            head.append(f"Retry-After: {wait}")
        text = "\r\n".join(head) + "\r\n\r\n"
        return text.encode() + (b"" if method == "HEAD" else body)


def _problem(status: HTTPStatus, reference: str) -> bytes:
    refusal = REFUSALS[status]
    problem = {
        "type": problem_type(refusal.code),
        "title": status.phrase,
        "status": status.value,
        "code": refusal.code,
        "detail": refusal.message,
        "action": refusal.action,
        "reference": reference,
    }
    return json.dumps(problem).encode()
