"""Pixels and files of single instances, after asking who may see them."""

import json
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.parameters import takes
from accounts.reads import told_by
from accounts.roles import Verb
from records.accesses import record_picture
from records.choices import Action
from records.files.pixels import read_values
from records.responses import PRIVATE, file_response, find_instance, png_response, refusal_response


class FramePngView(VerbRequiredMixin, View):
    """One frame as a picture, with the window that is asked for."""

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.IMAGE_VIEWED)
    parameters = takes("center", "width")

    def get(self, request: HttpRequest, pk: UUID, frame: int) -> HttpResponse:
        """Draw it; what can't be drawn says why in plain words."""
        instance = find_instance(signed_in_user(request), pk)
        try:
            return png_response(signed_in_user(request), instance, frame, request.GET)
        except KnownError as error:
            return refusal_response(error)


class FrameValuesView(VerbRequiredMixin, View):
    """One grey frame's values, so that the window can be tried in the browser before it is drawn.

    The header Frame-Values describes them in JSON.
    """

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.IMAGE_VIEWED)

    def get(self, request: HttpRequest, pk: UUID, frame: int) -> HttpResponse:
        """Hand them out; what has none says why in plain words."""
        user = signed_in_user(request)
        instance = find_instance(user, pk)
        try:
            values = read_values(instance, frame)
        except KnownError as error:
            return refusal_response(error)
        record_picture(user, values.content, instance.series.study)
        described = {
            "kind": values.kind,
            "rows": values.rows,
            "columns": values.columns,
            "function": values.function,
            "is_inverted": values.is_inverted,
        }
        headers = {"Cache-Control": PRIVATE, "Frame-Values": json.dumps(described)}
        return HttpResponse(
            values.content, content_type="application/octet-stream", headers=headers
        )


class InstanceFileView(VerbRequiredMixin, View):
    """The stored file."""

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.IMAGE_DOWNLOADED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Stream it; what can't be handed out says why in plain words."""
        user = signed_in_user(request)
        try:
            return file_response(user, find_instance(user, pk))
        except KnownError as error:
            return refusal_response(error)
