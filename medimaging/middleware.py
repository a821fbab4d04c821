"""What happens around every request: its id, the audit context, browser policy, idle sessions."""

import re
import uuid
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.functional import LazyObject, empty
from rest_framework.response import Response

from accounts.access import known_method, view_name
from accounts.api.entity_tags import is_known, tag_of
from accounts.audit import bind_request_context, bind_session, current_context
from accounts.choices import Action as AccountsAction
from accounts.client_addresses import find_client
from accounts.models import UserSession
from accounts.services import (
    find_open_session,
    note_closed_session,
    note_refusal,
    touch_session,
)
from accounts.services.sessions import SESSION_ROW
from accounts.standing import responsible_for
from medimaging import logs, problems

Responder = Callable[[HttpRequest], HttpResponseBase]

# What a proxy may hand in: hexadecimal digits, in which nobody can write a name.
REQUEST_ID = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{14,62}[0-9a-fA-F]")
SAFE_METHODS = frozenset({"GET", "HEAD"})
# What names an object in an address: never what somebody typed into a field.
OBJECT_ID = re.compile(r"[0-9a-fA-F.-]{1,64}")
# `data:` is for the few glyphs that bootstrap.css carries that way.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class RequestContextMiddleware:
    """Give the request an id and stamp log lines and audit events with it."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = given_request_id(request) or uuid.uuid4().hex
        request.id = request_id  # type: ignore[attr-defined]  # for the pages of errors
        token = logs.request_id.set(request_id)
        try:
            with bind_request_context(
                source_address=client_address(request),
                request_id=request_id,
                user_agent=request.headers.get("User-Agent", ""),
            ):
                response = self.get_response(request)
                request.META[logs.FACTS] = facts_of(request, response)
        finally:
            logs.request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response


def facts_of(request: HttpRequest, response: HttpResponseBase) -> logs.Facts:
    """Gather what the access log tells, inside the request's own audit context."""
    match = request.resolver_match
    token = current_context().token_id
    return logs.Facts(
        method=logs.method_of(request),
        asked=logs.asked(request),
        route=f"/{match.route}" if match else logs.UNKNOWN_ROUTE,
        user=_user_of(request),
        token=str(token) if token else "",
        code=problems.code_of(response),
        request_id=logs.request_id.get(),
    )


def _user_of(request: HttpRequest) -> str:
    """The id of who asked, as far as anybody wanted to know: nothing is looked up for the log."""
    user = getattr(request, "user", None)
    if user is None or (isinstance(user, LazyObject) and user._wrapped is empty):
        return ""
    return str(user.pk or "")


def given_request_id(request: HttpRequest) -> str:
    """Return the id that a proxy of ours has given; a caller's own is worth nothing."""
    given = request.headers.get("X-Request-ID", "")
    return given if settings.TRUSTED_PROXIES and REQUEST_ID.fullmatch(given) else ""


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address, counting back over the proxies that we run ourselves."""
    # Empty where the server listens on a Unix socket.
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = request.headers.get("X-Forwarded-For", "")
    return find_client(forwarded=forwarded, peer=peer, proxies=settings.TRUSTED_PROXIES) or None


class ContentEncodingMiddleware:
    """Refuse a body that was packed on its way (RFC 9110 8.4): nothing here unpacks it."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        stated = request.headers.get("Content-Encoding", "").strip().lower()
        if stated in ("", "identity"):
            return self.get_response(request)
        return problems.body_encoded(request)


class ContentSecurityPolicyMiddleware:
    """Let the browser load and run only what this server sends as a file of its own."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


class SlashMiddleware(CommonMiddleware):
    """Lead an address without its last slash to the one with it, and lose no body on the way.

    After a 301 clients ask again with GET, which would answer 200 for files that nobody took: 308
    has them send the same again, body included.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Redirect what would be found with a slash."""
        response = super().process_response(request, response)
        is_moved = response.status_code == HTTPStatus.MOVED_PERMANENTLY
        if is_moved and request.method not in SAFE_METHODS:
            response.status_code = HTTPStatus.PERMANENT_REDIRECT
        return response


class IdleSessionMiddleware(SessionMiddleware):
    """Sessions that end when nobody works: a page's own polling doesn't keep them alive."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if is_passive(request) and not request.session.modified:
            return response
        return super().process_response(request, response)


def is_passive(request: HttpRequest) -> bool:
    """Tell whether a page asks by itself, which says nothing about who is at the keyboard."""
    return view_name(request) in settings.POLLED_VIEWS


class OpenSessionMiddleware:
    """Let a session in only while its row is open; note one that opens nothing."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        row = self._admit(request)
        response = self.get_response(request)
        is_same = row is not None and request.session.get(SESSION_ROW) == str(row.pk)
        is_away = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        if row is not None and is_same and not is_away and not is_passive(request):
            touch_session(row=row, session_key=request.session.session_key or "")
        return response

    @staticmethod
    def _admit(request: HttpRequest) -> UserSession | None:
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if not request.user.is_authenticated:
            if key and not request.session.session_key:
                note_closed_session(session_key=key)
            return None
        row = find_open_session(
            user=request.user,
            row_id=request.session.get(SESSION_ROW),
            session_key=request.session.session_key or "",
        )
        if row is None:
            request.session.flush()
            request.user = AnonymousUser()
        return row


class RefusalMiddleware:
    """Note each 401 and 403, and each 404 about an object, that nobody has noted yet."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not getattr(request, "is_refusal_noted", False):
            self._note(request, response.status_code)
        return response

    @staticmethod
    def _note(request: HttpRequest, status: int) -> None:
        actor = request.user if request.user.is_authenticated else None
        details = {"view": view_name(request), "method": known_method(request)}
        match = request.resolver_match
        if status == HTTPStatus.NOT_FOUND and match and match.kwargs:
            ids = [str(value) for value in match.kwargs.values()]
            what = "/".join(value for value in ids if OBJECT_ID.fullmatch(value))
            kind = AccountsAction.OBJECT_NOT_FOUND
        elif status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            kind, what = AccountsAction.ACCESS_REFUSED, view_name(request)
        else:
            return
        note_refusal(actor=actor, kind=kind, what=what, details=details)


class EntityTagMiddleware:
    """Name the state that an answer of the API shows, and send no body to who has it already.

    Such a look was told like any other: it comes after the view, and before the body leaves.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_read = request.method in {"GET", "HEAD"} and response.status_code == HTTPStatus.OK
        if not is_read or not isinstance(response, Response) or response.data is None:
            return response
        tag = tag_of(response.data)
        if not is_known(tag, given=request.headers.get("If-None-Match", "")):
            response["ETag"] = tag
            return response
        return HttpResponseNotModified(headers={"ETag": tag})


class AuditSessionMiddleware:
    """Stamp audit events with the session in use; comes after whoever opens it."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            responsible = responsible_for(request.session, user=request.user)
            bind_session(request.session.session_key, responsible=responsible)
        return self.get_response(request)


class NoStoreMiddleware:
    """Keep what a signed-in person saw out of the caches of a shared workstation."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.user.is_authenticated:
            response.setdefault("Cache-Control", "no-store")
        return response
