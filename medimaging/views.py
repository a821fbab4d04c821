"""What belongs to no app: the API's documentation."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.views import SpectacularAPIView

from accounts.parameters import takes
from accounts.reads import NOTHING, reads_nothing


class ApiSchemaView(SpectacularAPIView):
    """The OpenAPI document."""

    reads = NOTHING
    parameters = takes("format")


@reads_nothing
def api_docs(request: HttpRequest) -> HttpResponse:
    """Draw the OpenAPI document; the reader's own session is used for trying things out."""
    return render(request, "medimaging/api_docs.html")
