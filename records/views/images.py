"""Pixels and files of single instances, after asking who may see them."""

import json
import math
from collections.abc import Mapping
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.deliveries import begin_delivery, begin_tallied, file_answer
from accounts.errors import KnownError
from accounts.models import User
from accounts.parameters import takes
from accounts.reads import told_by
from accounts.roles import Verb
from records.choices import Action
from records.errors import WindowInvalid
from records.files.open import open_stored
from records.files.pixels import read_values, render_png
from records.models import Instance, Study

PRIVATE = "private, max-age=300"


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


def find_instance(user: User, pk: UUID) -> Instance:
    """Return an instance that `user` may see; 404 for any other."""
    visible = Instance.objects.visible_to(user).select_related("series__study")
    return get_object_or_404(visible, pk=pk)


def png_response(
    user: User, instance: Instance, frame: int, params: Mapping[str, str]
) -> HttpResponse:
    """Draw a frame, and note that it was looked at."""
    picture = render_png(instance, frame, read_window(params))
    record_picture(user, picture, instance.series.study)
    return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": PRIVATE})


def record_picture(user: User, picture: bytes, study: Study) -> None:
    """Note that one picture of a study leaves."""
    begin_tallied(action=Action.IMAGE_VIEWED, actor=user, study=study, frames=1, size=len(picture))


def file_response(user: User, instance: Instance) -> StreamingHttpResponse:
    """Stream a stored file under its UID: the sender's name for it may hold a patient's.

    Raises StoredFileMissing, StoredFileDamaged and StoreUnavailable.
    """
    content = open_stored(instance)
    delivery = begin_delivery(
        action=Action.IMAGE_DOWNLOADED, actor=user, target=instance, study=instance.series.study
    )
    return file_answer(
        content,
        delivery,
        size=instance.size_bytes,
        filename=f"{instance.sop_instance_uid}.dcm",
        content_type="application/dicom",
    )


def refusal_response(error: KnownError) -> HttpResponse:
    """Say in plain words why there is no picture."""
    words = f"{error.message} {error.action}"
    wait = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return HttpResponse(words, content_type="text/plain", status=error.status, headers=wait)


def read_window(params: Mapping[str, str]) -> tuple[float, float] | None:
    """Return the (center, width) that is asked for, if any; raises WindowInvalid."""
    stated = params.get("center") or None, params.get("width") or None
    if stated == (None, None):
        return None
    try:
        center, width = (float(value or "") for value in stated)
    except ValueError as error:
        raise WindowInvalid from error
    if not math.isfinite(center) or not math.isfinite(width) or width <= 0:
        raise WindowInvalid
    return center, width
