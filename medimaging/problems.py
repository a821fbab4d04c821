"""Errors on their way out: RFC 9457 problem documents for the API, plain pages for people.

Every problem has a stable `code`, a `detail` for staff, an `action` that says what to do, and
the request's id as `reference`. Unknown errors keep their cause to the log.
"""

import logging
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler

from accounts.access import known_method, view_name
from accounts.choices import Action as AccountsAction
from accounts.errors import DatabaseUnavailable, KnownError
from accounts.models import User
from accounts.outages import is_database_outage
from accounts.parameters import Fault
from accounts.services import note_refusal
from medimaging.logs import asked

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=HttpResponseBase)

MEDIA_TYPE = "application/problem+json"
API_PREFIXES = ("/api/", "/dicomweb/", "/fhir/")

# Code, title and action for what a view refuses without an error of ours, by status.
REFUSALS = {
    400: ("invalid", "The request is not valid.", "Correct the fields named in `errors`."),
    401: ("not_authenticated", "You are not signed in.", "Send a valid token, or sign in."),
    403: (
        "permission_denied",
        "Your role does not allow this.",
        "Ask your administrator for a role that does.",
    ),
    404: ("not_found", "Nothing was found here.", "Check the address and your departments."),
    405: ("method_not_allowed", "This method is not allowed here.", "See the API documentation."),
    406: ("not_acceptable", "No format that you accept is available.", "Accept JSON."),
    413: ("too_large", "The request is too large.", "Send the files in smaller parts."),
    415: ("unsupported_media_type", "This content type is not accepted.", "Send JSON."),
    429: ("throttled", "There were too many requests.", "Wait, then try again."),
    500: (
        "internal_error",
        "Something went wrong on our side.",
        "Try again. If it happens again, give your administrator the reference.",
    ),
    503: ("unavailable", "This can't be done at this moment.", "Try again in a few seconds."),
}
PAGE_ACTION = "Go back, reload the page and try again. Don't change the address by hand."
LONGEST_NAME = 64
OTHER_REFUSAL = ("request_refused", "The request was refused.", "See the detail.")


def problem_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an error raised in an API view into a problem document.

    Unknown errors are passed on: Django logs them and answers through `server_error`.
    """
    request = context["request"]
    if isinstance(exc, KnownError):
        response = exception_handler(exceptions.APIException(), context)
        body = _known(request, exc)
        wait = {"Retry-After": str(exc.retry_after)} if exc.retry_after else {}
    else:
        exc = _as_api_exception(exc)
        response = exception_handler(exc, context)
        if response is None:
            return None
        body, wait = _refusal(request, exc), {}
    assert response is not None  # noqa: S101  (an APIException always gives one)
    response.status_code = body["status"]
    response.data = body
    # Problems are JSON also where the view itself answers in another format.
    request.accepted_renderer = JSONRenderer()
    request.accepted_media_type = JSONRenderer.media_type
    response.content_type = MEDIA_TYPE
    for name, value in wait.items():
        response[name] = value
    return response


def _known(request: Any, error: KnownError) -> dict[str, Any]:
    said = {"code": error.code, "detail": error.message}
    more: dict[str, Any] = {name: error.context[name] for name in error.members}
    if error.pointer:
        more["errors"] = [{"pointer": _shown(error.pointer), **said}]
    return _problem(request, error.status, action=error.action, **said, **more)


def _as_api_exception(exc: Exception) -> Exception:
    if isinstance(exc, Http404):
        return exceptions.NotFound()
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exc, ValidationError):
        return exceptions.ValidationError(
            exc.message_dict if hasattr(exc, "error_dict") else exc.messages
        )
    return exc


def _refusal(request: Any, exc: Any) -> dict[str, Any]:
    code, title, action = REFUSALS.get(exc.status_code, OTHER_REFUSAL)
    if isinstance(exc, exceptions.ValidationError):
        return _problem(
            request,
            exc.status_code,
            code=code,
            detail=title,
            action=action,
            errors=list(_field_errors(exc.detail, "")),
        )
    if isinstance(exc, exceptions.UnsupportedMediaType):
        accepted = {parser.media_type for parser in request.parsers}
        action = f"Send {' or '.join(sorted(accepted))}."
    specific = exc.detail != type(exc).default_detail
    return _problem(
        request,
        exc.status_code,
        code=exc.get_codes() if exc.status_code == HTTPStatus.BAD_REQUEST else code,
        detail=str(exc.detail) if specific else title,
        action=action,
    )


def _field_errors(detail: Any, pointer: str) -> Any:
    """Yield one entry per message, with a JSON pointer to the field that it is about."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else f"/{_shown_name(name)}"
            yield from _field_errors(inner, pointer + step)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            is_nested = isinstance(inner, dict | list)
            yield from _field_errors(inner, f"{pointer}/{index}" if is_nested else pointer)
    else:
        yield {"pointer": pointer or "/", "code": detail.code, "detail": _shown(detail)}


def _shown_name(name: Any) -> str:
    """A name as a JSON pointer has it (RFC 6901); a stranger's is cut where no field's is."""
    return _shown(name)[:LONGEST_NAME].replace("~", "~0").replace("/", "~1")


def _shown(text: Any) -> str:
    """Text that can be sent: halves of characters, which only JSON can hold, are replaced."""
    return str(text).encode("utf-8", "replace").decode()


def code_of(response: HttpResponseBase) -> str:
    """The stable code of what an answer refuses; empty where it refuses nothing."""
    noted = getattr(response, "problem_code", "")
    data = getattr(response, "data", None)
    if noted or response.status_code < HTTPStatus.BAD_REQUEST or not isinstance(data, dict):
        return str(noted)
    return str(data.get("code", ""))


def _noted(response: Answer, code: str) -> Answer:
    """Note on an answer which problem it tells, for the log."""
    response.problem_code = code  # type: ignore[attr-defined]  # for `code_of`
    return response


def problem_type(code: str) -> str:
    """The URI of a kind of problem (RFC 9457), which is its code and no address."""
    return f"urn:medimaging:problem:{code}"


def _problem(
    request: Any, status_code: int, *, code: str, detail: str, action: str, **more: Any
) -> dict[str, Any]:
    title = REFUSALS.get(status_code, OTHER_REFUSAL)[1]
    return {
        "type": problem_type(code),
        "title": title,
        "status": status_code,
        "code": code,
        "detail": detail,
        "action": action,
        "reference": getattr(request, "id", ""),
        **more,
    }


def refuse_parameters(request: HttpRequest, faults: Sequence[Fault]) -> HttpResponse:
    """Answer what says something that its view doesn't take: 400, with a pointer to each."""
    code, title, action = REFUSALS[HTTPStatus.BAD_REQUEST]
    if not request.path.startswith(API_PREFIXES):
        words = [f"{_shown_name(fault.name)}: {fault.words}".lstrip(": ") for fault in faults]
        return refuse_page(request, code=code, message=" ".join(words), action=PAGE_ACTION)
    errors = [
        {"pointer": f"/{_shown_name(fault.name)}", "code": fault.code, "detail": fault.words}
        for fault in faults
    ]
    body = _problem(
        request, HTTPStatus.BAD_REQUEST, code=code, detail=title, action=action, errors=errors
    )
    response = JsonResponse(body, status=HTTPStatus.BAD_REQUEST, content_type=MEDIA_TYPE)
    return _noted(response, code)


def refuse_page(request: HttpRequest, *, code: str, message: str, action: str) -> HttpResponse:
    """Draw the page of a request that a page can't make sense of."""
    error = {"code": code, "message": message, "action": action}
    context = {"error": error, "reference": getattr(request, "id", "")}
    page = render_to_string("400.html", context, request)
    return _noted(HttpResponse(page, status=HTTPStatus.BAD_REQUEST), code)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404)


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that another site, or a session that has ended, may have sent."""
    request.is_refusal_noted = True  # type: ignore[attr-defined]  # for the middleware
    note_refusal(
        actor=request.user if isinstance(request.user, User) else None,
        kind=AccountsAction.FORM_REFUSED,
        what=view_name(request),
        details={"method": known_method(request)},
    )
    if request.path.startswith(API_PREFIXES):
        return _answer(request, HTTPStatus.FORBIDDEN)
    code = "form_refused"
    context = {
        "error": {
            "code": code,
            "message": "The form was not accepted.",
            "action": "Reload the page and enter it again.",
        },
        "reference": getattr(request, "id", ""),
    }
    page = render_to_string("403_csrf.html", context, request)
    return _noted(HttpResponse(page, status=HTTPStatus.FORBIDDEN), code)


def body_encoded(request: HttpRequest) -> HttpResponse:
    """Answer a request whose body is packed, as by gzip."""
    code, action = "content_encoding_unsupported", "Send the body as it is, without encoding it."
    message = "A body that is packed (Content-Encoding) isn't accepted."
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    response: HttpResponse
    if request.path.startswith(API_PREFIXES):
        problem = _problem(request, status, code=code, detail=message, action=action)
        response = JsonResponse(problem, status=status, content_type=MEDIA_TYPE)
    else:
        context = {
            "error": {"code": code, "message": message, "action": action},
            "reference": getattr(request, "id", ""),
        }
        response = HttpResponse(render_to_string("refused.html", context), status=status)
    response["Accept-Encoding"] = "identity"
    return _noted(response, code)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what nobody foresaw, and what can't be done while something it needs is away."""
    error = sys.exception()
    if is_database_outage(error):
        logger.warning("database_unavailable: %s (%s)", asked(request), type(error).__name__)
        return database_unavailable(request)
    if isinstance(error, KnownError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return unavailable(request, error)
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def database_unavailable(request: HttpRequest) -> HttpResponse:
    """Answer while PostgreSQL is away."""
    return unavailable(request, DatabaseUnavailable())


def unavailable(request: HttpRequest, error: KnownError) -> HttpResponse:
    """Answer what works again by itself, and when to try; without a look at who asks."""
    response: HttpResponse
    if request.path.startswith(API_PREFIXES):
        problem = _known(request, error)
        response = JsonResponse(problem, status=error.status, content_type=MEDIA_TYPE)
    else:
        context = {"error": error, "reference": getattr(request, "id", "")}
        response = HttpResponse(render_to_string("503.html", context), status=error.status)
    if error.retry_after:
        response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    # Once is enough, and a line says it better than a traceback.
    response._has_been_logged = True  # type: ignore[attr-defined]  # as Django's log_response has it
    return response


def _is_signed_in(request: HttpRequest) -> bool:
    """Whether the page of an error can stand in the frame that people know."""
    return isinstance(getattr(request, "user", None), User)


def _answer(request: HttpRequest, status_code: int) -> HttpResponse:
    code, title, action = REFUSALS[status_code]
    if request.path.startswith(API_PREFIXES):
        problem = _problem(request, status_code, code=code, detail=title, action=action)
        return _noted(JsonResponse(problem, status=status_code, content_type=MEDIA_TYPE), code)
    context: dict[str, Any] = {
        "error": {"code": code, "message": title, "action": action},
        "reference": getattr(request, "id", ""),
    }
    if _is_signed_in(request):
        context["frame"] = "base.html"
    # Whatever broke may be what the page's frame needs, so 500.html does without the request.
    framed = None if status_code == HTTPStatus.INTERNAL_SERVER_ERROR else request
    page = render_to_string(f"{status_code}.html", context, framed)
    return _noted(HttpResponse(page, status=status_code), code)
