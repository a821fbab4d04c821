"""WADO-RS: studies, series and instances, their metadata, bulk data and frames."""

from collections.abc import Iterator
from http import HTTPStatus

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from accounts.access import signed_in_user
from accounts.audit import record_access
from accounts.models import Action, User
from records.dicomweb.negotiation import (
    DICOM,
    OCTET_STREAM,
    FrameForm,
    InstanceForm,
    accepted_ranges,
    choose_frame_form,
    choose_instance_form,
    choose_type,
    sendable,
)
from records.dicomweb.targets import Target, find_target, in_pages, instance_url
from records.dicomweb.views.base import (
    DicomwebView,
    PartContent,
    documents_response,
    multipart_response,
    started,
)
from records.errors import (
    NoSuchBulkData,
    NoSuchFrame,
    NotAcceptable,
    NothingToShow,
    ParameterInvalid,
)
from records.models import Instance
from records.outgoing.dicom_json import JsonObject, element
from records.sending import (
    UNDECODABLE,
    file_pieces,
    frame_pieces,
    read_bulk_data,
    read_metadata,
)


class RetrieveView(DicomwebView):
    """The files of a study, a series or one instance."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        """Send them one by one; 206 where some can't be sent in a form that the client takes."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        form = choose_instance_form(accepted_ranges(request))
        total = target.instances.count()
        rows = target.whole_instances().filter(sendable(form))
        count = rows.count()
        if not count or (count > 1 and not form.is_multipart):
            raise NotAcceptable(offered=f'multipart/related; type="{DICOM}"; transfer-syntax=*')
        record_retrieval(user, target, instances=count)
        if not form.is_multipart:
            return _single_response(rows.get(), form)
        parts = (_part(instance, form) for instance in in_pages(rows))
        status = HTTPStatus.OK if count == total else HTTPStatus.PARTIAL_CONTENT
        return multipart_response(parts, DICOM, status=status)


class MetadataView(DicomwebView):
    """The attributes of instances without their pixels."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        """Send them one by one."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        record_access(
            action=Action.STUDY_VIEWED, actor=user, target=target.study, study=target.study
        )
        rows = in_pages(target.whole_instances())
        return documents_response(request, (_metadata_of(request, target, row) for row in rows))


class FramesView(DicomwebView):
    """Frames of an image by number, counted from 1."""

    def get(self, request: Request, frames: str, **uids: str) -> HttpResponseBase:
        """Send each frame as a part, in the order that was asked for."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        instance = target.only_instance
        numbers = read_frame_numbers(frames, instance)
        form = _frame_form(request, instance)
        if len(numbers) > 1 and not form.is_multipart:
            raise NotAcceptable(offered=f'multipart/related; type="{form.media_type}"')
        record_retrieval(user, target, instances=1)
        return frames_response(instance, [number - 1 for number in numbers], form)


class BulkDataView(DicomwebView):
    """The value of one element that the metadata give an address for."""

    def get(self, request: Request, path: str, **uids: str) -> HttpResponseBase:
        """Send the pixels as frames, any other value as it is stored."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        instance = target.only_instance
        if path in PIXEL_TAGS:
            return self._pixels(request, user, target, instance)
        wanted = choose_type(accepted_ranges(request), (OCTET_STREAM,))
        pieces = read_bulk_data(instance, path)
        record_retrieval(user, target, instances=1)
        if wanted.is_multipart is False:
            return StreamingHttpResponse(started(pieces), content_type=OCTET_STREAM)
        return multipart_response([({"Content-Type": OCTET_STREAM}, pieces)], OCTET_STREAM)

    def _pixels(
        self, request: Request, user: User, target: Target, instance: Instance
    ) -> HttpResponseBase:
        if not instance.is_image:
            raise NoSuchBulkData
        form = _frame_form(request, instance)
        indices = list(range(instance.number_of_frames))
        record_retrieval(user, target, instances=1)
        return frames_response(instance, indices, form, is_one_value=not form.is_as_stored)


PIXEL_TAGS = frozenset({"7FE00008", "7FE00009", "7FE00010"})


def read_frame_numbers(text: str, instance: Instance) -> list[int]:
    """Return frame numbers from a list such as "1,3"; raises ParameterInvalid and NoSuchFrame."""
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError as error:
        problem = "frames are numbers, with commas between them."
        raise ParameterInvalid(name="frames", problem=problem) from error
    if not instance.is_image:
        raise NothingToShow(detail=instance.exclusion_reason or "it has no pixels.")
    for number in numbers:
        if not 1 <= number <= instance.number_of_frames:
            raise NoSuchFrame(frame=number, count=instance.number_of_frames)
    return numbers


def frames_response(
    instance: Instance, indices: list[int], form: FrameForm, *, is_one_value: bool = False
) -> StreamingHttpResponse:
    """Send frames (from 0) in the settled form, each a part, or all as the value they make up."""
    frames = frame_pieces(instance, indices, is_as_stored=form.is_as_stored)
    if not form.is_multipart:
        return StreamingHttpResponse(started(frames), content_type=form.part_type)
    headers = {"Content-Type": form.part_type}
    parts: Iterator[PartContent] = ((headers, [frame]) for frame in frames)
    if is_one_value:
        parts = iter([(headers, frames)])
    return multipart_response(parts, form.media_type)


def record_retrieval(user: User, target: Target, *, instances: int) -> None:
    """Note that somebody took images of a study away."""
    record_access(
        action=Action.STUDY_RETRIEVED,
        actor=user,
        target=target.study,
        study=target.study,
        details={"instances": instances},
    )


def _single_response(instance: Instance, form: InstanceForm) -> StreamingHttpResponse:
    syntax = form.syntax_for(instance.transfer_syntax_uid) or ""
    return StreamingHttpResponse(
        started(file_pieces(instance, syntax)), content_type=f"{DICOM}; transfer-syntax={syntax}"
    )


def _part(instance: Instance, form: InstanceForm) -> PartContent:
    syntax = form.syntax_for(instance.transfer_syntax_uid) or ""
    headers = {"Content-Type": f"{DICOM}; transfer-syntax={syntax}"}
    return headers, file_pieces(instance, syntax)


def _metadata_of(request: Request, target: Target, instance: Instance) -> JsonObject:
    url = instance_url(
        request,
        target.study.study_instance_uid,
        instance.series.series_instance_uid,
        instance.sop_instance_uid,
    )
    found = read_metadata(instance, url=f"{url}/bulkdata")
    found |= [
        element("RetrieveURL", url),
        element("AvailableTransferSyntaxUID", instance.transfer_syntax_uid),
    ]
    return dict(sorted(found.items()))


def _frame_form(request: Request, instance: Instance) -> FrameForm:
    return choose_frame_form(
        accepted_ranges(request),
        stored=instance.transfer_syntax_uid,
        is_decodable=instance.exclusion not in UNDECODABLE,
    )
