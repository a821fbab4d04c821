"""Resumable uploads by tus 1.0.0: one door for the upload page and for integrators."""

import io
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in_user
from accounts.api.idempotency import idempotent
from accounts.audit import record_access
from accounts.errors import KnownError
from accounts.models import User
from accounts.reads import NOTHING, Declared, told_by
from accounts.roles import Verb
from records.api import tus
from records.api.serializers import UploadSerializer
from records.bodies import body_stream, is_chunked
from records.choices import Action, UploadState
from records.errors import UploadGone
from records.models import Submission, Upload
from records.services import abandon_upload, append_to_upload, cancel_upload, open_upload

BYTES = {tus.CONTENT_TYPE: OpenApiTypes.BINARY}
OVERRIDABLE = frozenset({"PATCH", "DELETE"})


def _header(name: str, *, required: bool = True, text: str = "") -> OpenApiParameter:
    return OpenApiParameter(
        name, location=OpenApiParameter.HEADER, required=required, description=text
    )


RESUMABLE = _header("Tus-Resumable", text="1.0.0")
CHECKSUM = _header("Upload-Checksum", required=False, text="Algorithm, space, digest in base64.")


class AsItComes(BaseParser):
    """Leaves the body where it is: it is read from the connection while it arrives."""

    media_type = "*/*"

    def parse(self, stream: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the stream, unread."""
        return stream


class TusView(APIView):
    """What every answer of the protocol has in common."""

    verb = Verb.STUDY_SUBMIT
    parser_classes = (AsItComes,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Let clients behind proxies that know no PATCH and DELETE say it in a header."""
        stated = request.headers.get("X-HTTP-Method-Override", "")
        if request.method == "POST" and stated in OVERRIDABLE:
            request.method = stated
        return super().initialize_request(request, *args, **kwargs)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        """Name the protocol, on refusals too."""
        response = super().finalize_response(*args, **kwargs)
        response["Tus-Resumable"] = tus.VERSION
        response["Tus-Version"] = tus.VERSION
        return response

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Say what this server can do."""
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.server_headers())


def recall_upload(view: Any, body: Any) -> None:
    """Let a kept answer about an upload leave again, to who began it."""
    user = signed_in_user(view.request)
    _record_view(user, _find(user, view.kwargs["submission_pk"], body["id"]).submission)


class UploadListView(TusView):
    """The files on their way into a submission."""

    reads = told_by(Action.SUBMISSION_VIEWED)
    announced = ("Upload-Length", "Upload-Metadata", "Upload-Checksum", "Content-Length")
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"post": (410, 412, 423, 460)}

    @extend_schema(
        operation_id="begin_upload",
        summary="Begin a file that may come in pieces",
        description=(
            "tus 1.0.0, creation and creation-with-upload: the body may hold the first bytes, or "
            "all of them. `Location` names the upload; `HEAD` there tells how far it has come."
        ),
        parameters=[
            RESUMABLE,
            _header("Upload-Length", text="The size of the file in bytes."),
            _header(
                "Upload-Metadata",
                required=False,
                text="`filename`, and `fingerprint`: 64 hexadecimal digits by which you know the "
                "file again. A new upload replaces an unfinished one with the same fingerprint.",
            ),
            CHECKSUM,
        ],
        request=BYTES,
        responses={201: UploadSerializer},
    )
    @idempotent(recall_upload, is_repeatable=True)
    def post(self, request: Request, submission_pk: UUID) -> Response:
        """Open the upload, and take the bytes that came with the request."""
        user = signed_in_user(request)
        submission = get_object_or_404(Submission.objects.visible_to(user), pk=submission_pk)
        _record_view(user, submission)
        tus.check_version(request)
        length = tus.read_body_length(request)
        checksum = tus.read_checksum(request)
        creation = tus.read_creation(request)
        upload = open_upload(actor=user, submission=submission, **creation._asdict())
        if length != 0 or not creation.size:
            upload = _take_first(request, user, upload, length=length, checksum=checksum)
        address = reverse("api-submission-upload-detail", args=[submission_pk, upload.pk])
        return Response(
            UploadSerializer(upload, context={"request": request}).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": address, **tus.upload_headers(upload)},
        )


class UploadDetailView(TusView):
    """One file on its way; only who began it can go on with it."""

    reads: ClassVar[dict[str, Declared]] = {
        "get": told_by(Action.SUBMISSION_VIEWED),
        "head": NOTHING,
        "patch": NOTHING,
        "delete": NOTHING,
    }
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {
        "patch": (410, 412, 423, 460),
        "delete": (410, 412, 423),
    }

    @extend_schema(
        operation_id="get_upload",
        summary="How far an upload has come, and the verdict once it is whole",
        responses=UploadSerializer,
    )
    def get(self, request: Request, submission_pk: UUID, pk: UUID) -> Response:
        """Tell it in JSON; not part of tus."""
        user = signed_in_user(request)
        upload = _find(user, submission_pk, pk)
        _record_view(user, upload.submission)
        return Response(UploadSerializer(upload, context={"request": request}).data)

    def head(self, request: Request, submission_pk: UUID, pk: UUID) -> Response:
        """Tell the offset, as tus asks for it."""
        upload = _find(signed_in_user(request), submission_pk, pk)
        tus.check_version(request)
        if upload.state == UploadState.DROPPED or upload.expires_at < timezone.now():
            raise UploadGone
        return Response(headers=tus.upload_headers(upload))

    @extend_schema(
        operation_id="send_upload_bytes",
        summary="Send the next bytes of a file",
        description="With the last one the file is checked and filed; `GET` has the verdict then.",
        parameters=[RESUMABLE, _header("Upload-Offset"), CHECKSUM],
        request=BYTES,
        responses={204: None},
    )
    def patch(self, request: Request, submission_pk: UUID, pk: UUID) -> Response:
        """Take them; what came before a connection broke is kept."""
        user = signed_in_user(request)
        upload = _find(user, submission_pk, pk)
        tus.check_version(request)
        length = tus.read_body_length(request)
        upload = append_to_upload(
            actor=user,
            upload=upload,
            offset=tus.read_number(request, "Upload-Offset"),
            length=length,
            stream=_body(request),
            checksum=tus.read_checksum(request),
        )
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.upload_headers(upload))

    @extend_schema(
        operation_id="cancel_upload",
        summary="Take a file back",
        parameters=[RESUMABLE],
        responses={204: None},
    )
    def delete(self, request: Request, submission_pk: UUID, pk: UUID) -> Response:
        """Drop what came of it."""
        user = signed_in_user(request)
        upload = _find(user, submission_pk, pk)
        tus.check_version(request)
        cancel_upload(actor=user, upload=upload)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _find(user: User, submission_pk: UUID, pk: UUID) -> Upload:
    uploads = Upload.objects.visible_to(user).select_related("submission")
    return get_object_or_404(uploads, pk=pk, submission=submission_pk)


def _take_first(request: Request, user: User, upload: Upload, **options: Any) -> Upload:
    """Take the bytes that came with the creation.

    Should it fail, the sender never hears where the upload is, so it must not stay.
    """
    try:
        begun = append_to_upload(
            actor=user, upload=upload, offset=0, stream=_body(request), **options
        )
        if options["length"] is not None and begun.offset < options["length"]:
            raise UploadGone
    except KnownError:
        abandon_upload(upload=upload)
        raise
    return begun


def _body(request: Request) -> Any:
    """The request's bytes as they come; the web server ends them when the sender falls silent."""
    if is_chunked(request._request):
        return body_stream(request._request)
    return request.stream or io.BytesIO()


def _record_view(user: User, submission: Submission) -> None:
    """Note that somebody saw a file's name, and maybe what became of it."""
    record_access(
        action=Action.SUBMISSION_VIEWED,
        actor=user,
        target=submission,
        department_id=submission.department_id,
    )
