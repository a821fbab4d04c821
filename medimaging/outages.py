"""What is answered while PostgreSQL is away: 503, soon, to everybody."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.postgresql.waiting import is_server_silent
from medimaging import problems

Responder = Callable[[HttpRequest], HttpResponseBase]

ABOUT_HEALTH = frozenset({"/healthz", "/readyz", "/statusz"})


class OutageMiddleware:
    """Turn a request away before anything reads the database, while that is known to be silent.

    What meets an outage further inside is answered alike by `problems.server_error`.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path in ABOUT_HEALTH:
            # It is told to nobody in particular, so no session is looked up for it.
            request.COOKIES.clear()
        elif is_server_silent():
            return problems.database_unavailable(request)
        return self.get_response(request)
