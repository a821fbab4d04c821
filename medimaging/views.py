"""The page that belongs to no app: the API's documentation."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def api_docs(request: HttpRequest) -> HttpResponse:
    """Draw the OpenAPI document; the reader's own session is used for trying things out."""
    return render(request, "medimaging/api_docs.html")
