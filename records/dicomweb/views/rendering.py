"""WADO-RS rendered resources and thumbnails: pictures with a window that was asked for."""

from collections.abc import Iterator
from typing import ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from accounts.access import signed_in_user
from accounts.deliveries import begin_tallied
from accounts.models import User
from accounts.parameters import Parameters, takes
from accounts.reads import told_by
from records.accesses import record_picture
from records.choices import Action
from records.dicomweb.negotiation import MULTIPART, accepted_ranges, choose_type
from records.dicomweb.pictures import PICTURE_TYPES, Look, draw, read_look
from records.dicomweb.targets import Target, find_target, in_pages
from records.dicomweb.views.base import ACCEPTED, DicomwebView, PartContent, multipart_response
from records.dicomweb.views.retrieving import read_frame_numbers
from records.errors import NotAcceptable, NothingToShow
from records.models import Instance

DRAWN = ACCEPTED | takes("annotation", "iccprofile", "quality", "viewport", "window")


class RenderedView(DicomwebView):
    """Every image of a study, series or instance as a picture, or the frames named."""

    reads = told_by(Action.IMAGE_VIEWED)
    parameters: ClassVar[Parameters] = DRAWN

    def get(self, request: Request, frames: str = "", **uids: str) -> HttpResponseBase:
        """Send the one picture as it is, several as parts."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        look = read_look(request.query_params)
        chosen = choose_type(accepted_ranges(request), PICTURE_TYPES)
        if frames:
            instance = target.only_instance
            numbers = read_frame_numbers(frames, instance)
            count, pictures = len(numbers), iter([(instance, number) for number in numbers])
        else:
            count, pictures = _every_frame(target)
        if count == 1 and not chosen.is_multipart:
            return _picture_response(user, target, next(pictures), look, chosen.media_type)
        if count > 1 and chosen.is_multipart is False:
            raise NotAcceptable(offered=f'{MULTIPART}; type="{chosen.media_type}"')
        delivery = begin_tallied(action=Action.IMAGE_VIEWED, actor=user, study=target.study)
        parts = delivery.counted_frames(_picture_parts(pictures, look, chosen.media_type))
        return multipart_response(parts, chosen.media_type, delivery=delivery)


class ThumbnailView(DicomwebView):
    """One small picture that stands for a study, series, instance or frame."""

    reads = told_by(Action.IMAGE_VIEWED)
    parameters: ClassVar[Parameters] = DRAWN

    def get(self, request: Request, frames: str = "", **uids: str) -> HttpResponseBase:
        """Draw the frame in the middle, unless one is named."""
        user = signed_in_user(request)
        target = find_target(user, **uids)
        look = read_look(request.query_params, is_thumbnail=True)
        chosen = choose_type(accepted_ranges(request), PICTURE_TYPES)
        images = target.whole_instances().filter(number_of_frames__gt=0)
        count = images.count()
        if not count:
            raise NothingToShow(detail="it has no pixels.")
        instance = images[count // 2]
        numbers = read_frame_numbers(frames, instance) if frames else []
        number = numbers[0] if numbers else (instance.number_of_frames + 1) // 2
        return _picture_response(user, target, (instance, number), look, chosen.media_type)


def _every_frame(target: Target) -> tuple[int, Iterator[tuple[Instance, int]]]:
    images = target.whole_instances().filter(number_of_frames__gt=0)
    count = sum(images.values_list("number_of_frames", flat=True))
    if not count:
        raise NothingToShow(detail="it has no pixels.")
    frames = (
        (instance, number)
        for instance in in_pages(images)
        for number in range(1, instance.number_of_frames + 1)
    )
    return count, frames


def _picture_response(
    user: User, target: Target, frame: tuple[Instance, int], look: Look, media_type: str
) -> HttpResponse:
    picture = draw(*frame, look, media_type=media_type)
    record_picture(user, picture, target.study)
    return HttpResponse(picture, content_type=media_type)


def _picture_parts(
    frames: Iterator[tuple[Instance, int]], look: Look, media_type: str
) -> Iterator[PartContent]:
    for instance, number in frames:
        yield {"Content-Type": media_type}, [draw(instance, number, look, media_type=media_type)]
