"""What happens around every request: its id, the audit context, browser policy, idle sessions."""

import ipaddress
import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.audit import bind_request_context, bind_session
from medimaging import logs

Responder = Callable[[HttpRequest], HttpResponseBase]

# What a proxy may hand in: hexadecimal digits, in which nobody can write a name.
REQUEST_ID = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{14,62}[0-9a-fA-F]")
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
        finally:
            request.META[logs.ASKED] = logs.asked(request)
            logs.request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response


def given_request_id(request: HttpRequest) -> str:
    """Return the id that a proxy of ours has given; a caller's own is worth nothing."""
    given = request.headers.get("X-Request-ID", "")
    return given if settings.TRUSTED_PROXIES and REQUEST_ID.fullmatch(given) else ""


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address, counting back over the proxies that we run ourselves."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    trusted = settings.TRUSTED_PROXIES
    if trusted and len(hops) >= trusted and _is_address(hops[-trusted]):
        return hops[-trusted]
    # Empty where the server listens on a Unix socket.
    return request.META.get("REMOTE_ADDR") or None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class ContentSecurityPolicyMiddleware:
    """Let the browser load and run only what this server sends as a file of its own."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


class IdleSessionMiddleware(SessionMiddleware):
    """Sessions that end when nobody works: a page's own polling doesn't keep them alive."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        match = request.resolver_match
        is_passive = match is not None and match.view_name in settings.POLLED_VIEWS
        if is_passive and not request.session.modified:
            return response
        return super().process_response(request, response)


class AuditSessionMiddleware:
    """Stamp audit events with the session in use; comes after whoever opens it."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            bind_session(request.session.session_key)
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
