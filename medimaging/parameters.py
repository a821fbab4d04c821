"""No request says more than its view declares that it takes."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from accounts.errors import CursorInvalid
from accounts.parameters import (
    NUL,
    Fault,
    faults_of,
    faults_of_query,
    taken_fields,
    taken_parameters,
)
from medimaging import problems

Responder = Callable[[HttpRequest], HttpResponseBase]
PAGE_METHODS = ("GET", "HEAD", "OPTIONS", "POST")


class ParametersMiddleware:
    """Refuse an address, or a page's posted form, with something that its view doesn't declare.

    What is misspelt, or empty because a variable was never set, would else be ignored, and a list
    would answer with everybody. The API's bodies are checked by its serializers.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Let it through, or answer 400. Who isn't signed in is told that first, by the view."""
        is_api = request.path.startswith(problems.API_PREFIXES)
        if is_api and not (request.user.is_authenticated or "Authorization" in request.headers):
            return None
        method = request.method or ""
        if not is_api and method not in PAGE_METHODS:
            return HttpResponseNotAllowed(PAGE_METHODS)
        query = request.META.get("QUERY_STRING", "")
        faults = list(faults_of_query(query, request.GET, taken_parameters(view, method)))
        faults += [Fault("", *NUL) for value in kwargs.values() if "\0" in str(value)]
        if method == "POST" and not is_api:
            taken = taken_fields(view, method)
            for given in (request.POST, request.FILES):
                faults += faults_of(given, taken, may_be_blank=True)
        return problems.refuse_parameters(request, faults) if faults else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Say in words that a page's cursor leads nowhere."""
        if not isinstance(exception, CursorInvalid):
            return None
        return problems.refuse_page(
            request,
            code=exception.code,
            message=exception.message,
            action="Open the list again.",
        )
