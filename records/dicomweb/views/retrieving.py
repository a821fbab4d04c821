"""WADO-RS: studies, series and instances, their metadata, bulk data and frames."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import ClassVar

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from accounts.access import signed_in_user
from accounts.deliveries import Delivery, begin_delivery, begin_tallied
from accounts.models import User
from accounts.reads import Reads, told_by
from records.choices import Action
from records.dicomweb.negotiation import (
    DICOM,
    OCTET_STREAM,
    FrameForm,
    InstanceForm,
    accepted_ranges,
    choose_frame_form,
    choose_instance_form,
    choose_type,
    has_decoder,
    sendable,
)
from records.dicomweb.targets import Target, find_target, in_pages, instance_url
from records.dicomweb.views.base import (
    DicomwebView,
    PartContent,
    delivered,
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
from records.files.sending import (
    PIXELS_UNREADABLE,
    UNDECODABLE,
    file_pieces,
    frame_pieces,
    read_bulk_data,
)
from records.models import Instance
from records.services.descriptions import describe_at


class RetrieveView(DicomwebView):
    """The files of a study, a series or one instance."""

    reads: ClassVar[Reads] = told_by(Action.STUDY_RETRIEVED)

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
        delivery = begin_delivery(
            action=Action.STUDY_RETRIEVED,
            actor=user,
            target=target.study,
            study=target.study,
            details={"asked_for": count},
        )
        if not form.is_multipart:
            return _single_response(rows.get(), form, delivery)
        parts = (_part(instance, form, delivery) for instance in in_pages(rows))
        status = HTTPStatus.OK if count == total else HTTPStatus.PARTIAL_CONTENT
        return multipart_response(parts, DICOM, status=status, delivery=delivery)


class MetadataView(DicomwebView):
    """The attributes of instances without their pixels."""

    reads = told_by(Action.STUDY_VIEWED)

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        """Send them one by one."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        rows = in_pages(target.whole_instances().select_related("series", "description"))
        delivery = begin_tallied(
            action=Action.STUDY_VIEWED,
            actor=user,
            study=target.study,
        )
        documents = (_metadata_of(target, row) for row in rows)
        return documents_response(request, documents, delivery=delivery)


class FramesView(DicomwebView):
    """Frames of an image by number, counted from 1."""

    reads = told_by(Action.STUDY_RETRIEVED)

    def get(self, request: Request, frames: str, **uids: str) -> HttpResponseBase:
        """Send each frame as a part, in the order that was asked for."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        instance = target.only_instance
        numbers = read_frame_numbers(frames, instance)
        form = _frame_form(request, instance)
        if len(numbers) > 1 and not form.is_multipart:
            raise NotAcceptable(offered=f'multipart/related; type="{form.media_type}"')
        delivery = begin_frames(user, target)
        return frames_response(instance, [number - 1 for number in numbers], form, delivery)


class BulkDataView(DicomwebView):
    """The value of one element that the metadata give an address for."""

    reads = told_by(Action.STUDY_RETRIEVED)

    def get(self, request: Request, path: str, **uids: str) -> HttpResponseBase:
        """Send the pixels as frames, any other value as it is stored."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        instance = target.only_instance
        if path in PIXEL_TAGS:
            return self._pixels(request, user, target, instance)
        wanted = choose_type(accepted_ranges(request), (OCTET_STREAM,))
        pieces = read_bulk_data(instance, path)
        delivery = begin_frames(user, target)
        if wanted.is_multipart is False:
            body = delivered(started(pieces), delivery)
            return StreamingHttpResponse(body, content_type=OCTET_STREAM)
        parts = [({"Content-Type": OCTET_STREAM}, pieces)]
        return multipart_response(parts, OCTET_STREAM, delivery=delivery)

    def _pixels(
        self, request: Request, user: User, target: Target, instance: Instance
    ) -> HttpResponseBase:
        if not instance.is_image:
            raise NoSuchBulkData
        form = _frame_form(request, instance)
        indices = list(range(instance.number_of_frames))
        delivery = begin_frames(user, target)
        return frames_response(
            instance, indices, form, delivery, is_one_value=not form.is_as_stored
        )


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
    instance: Instance,
    indices: list[int],
    form: FrameForm,
    delivery: Delivery,
    *,
    is_one_value: bool = False,
) -> StreamingHttpResponse:
    """Send frames (from 0) in the settled form, each a part, or all as the value they make up."""
    frames = frame_pieces(instance, indices, is_as_stored=form.is_as_stored)
    frames = delivery.counted_frames(frames)
    if not form.is_multipart:
        body = delivered(started(frames), delivery)
        return StreamingHttpResponse(body, content_type=form.part_type)
    headers = {"Content-Type": form.part_type}
    parts: Iterator[PartContent] = ((headers, [frame]) for frame in frames)
    if is_one_value:
        parts = iter([(headers, frames)])
    return multipart_response(parts, form.media_type, delivery=delivery)


def begin_frames(user: User, target: Target) -> Delivery:
    """Note that somebody takes frames or values of a study away."""
    return begin_tallied(
        action=Action.STUDY_RETRIEVED,
        seen_as=Action.IMAGE_VIEWED,
        actor=user,
        study=target.study,
    )


def _single_response(
    instance: Instance, form: InstanceForm, delivery: Delivery
) -> StreamingHttpResponse:
    syntax = form.syntax_for(instance.transfer_syntax_uid) or ""
    return StreamingHttpResponse(
        delivered(started(file_pieces(instance, syntax)), delivery, instances=1),
        content_type=f"{DICOM}; transfer-syntax={syntax}",
    )


def _part(instance: Instance, form: InstanceForm, delivery: Delivery) -> PartContent:
    syntax = form.syntax_for(instance.transfer_syntax_uid) or ""
    headers = {"Content-Type": f"{DICOM}; transfer-syntax={syntax}"}
    return headers, delivery.counted(file_pieces(instance, syntax))


def _metadata_of(target: Target, instance: Instance) -> str:
    url = instance_url(
        target.study.study_instance_uid,
        instance.series.series_instance_uid,
        instance.sop_instance_uid,
    )
    return describe_at(instance, url=url)


def _frame_form(request: Request, instance: Instance) -> FrameForm:
    """Settle how frames are sent. Where some couldn't be decoded once, others of them may be."""
    ranges, stored = accepted_ranges(request), instance.transfer_syntax_uid
    is_decodable = instance.exclusion not in UNDECODABLE
    try:
        return choose_frame_form(ranges, stored=stored, is_decodable=is_decodable)
    except NotAcceptable:
        if instance.exclusion != PIXELS_UNREADABLE or not has_decoder(stored):
            raise
    return choose_frame_form(ranges, stored=stored, is_decodable=True)
