"""What the service says of itself: a page for people, the same as JSON for programs."""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.reads import NOTHING
from records.dicomweb.conformance import describe_service
from records.dicomweb.views.base import DicomwebView


class CapabilitiesView(DicomwebView):
    """The conformance statement as JSON, for whoever is signed in."""

    reads = NOTHING
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Send it."""
        return Response(describe_service())

    # PS3.18 8.9: capabilities are asked for with OPTIONS.
    options = get  # type: ignore[assignment]  # instead of REST framework's own


class ConformanceView(LoginRequiredMixin, View):
    """The conformance statement as a page."""

    reads = NOTHING

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw it."""
        return render(request, "records/dicomweb_conformance.html", describe_service())
