"""STOW-RS: objects, or metadata with bulk data, as the parts of one request; and DELETE."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from itertools import chain, islice
from typing import ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.template.defaultfilters import filesizeformat
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.parameters import Parameters, takes
from accounts.reads import NOTHING, Reads, told_by
from accounts.roles import Verb
from records.bodies import body_stream
from records.choices import Action
from records.dicom.attributes import Level
from records.dicomweb.assembly import Assembly, BulkPart, check_part_count
from records.dicomweb.multipart import MultipartReader, Part
from records.dicomweb.negotiation import (
    DICOM,
    DICOM_JSON,
    JSON,
    MULTIPART,
    accepted_ranges,
    choose_document,
)
from records.dicomweb.store_response import store_document, store_status
from records.dicomweb.targets import find_study
from records.dicomweb.views.base import ACCEPTED, DicomwebView, document_response
from records.dicomweb.views.retrieving import RetrieveView
from records.dicomweb.views.searching import SEARCHED, SearchView
from records.errors import (
    FileTooLarge,
    MediaTypeUnsupported,
    MultipartBroken,
    ParameterInvalid,
    RequestTooLarge,
)
from records.facts import Peeked
from records.files.spool import Readable, spool_directory, spooled
from records.files.stores import Spooled
from records.models import RoutingFacts
from records.services import choose_department, delete_study
from records.services.storing import IncomingObject, StoreOutcome, store_objects

DEPARTMENT = "department", "X-Department"
EXPECTED = "expected_instances", "X-Expected-Instances"
"""Each a query parameter, and the header for senders that can't add one."""

STORED = ACCEPTED | takes(DEPARTMENT[0], EXPECTED[0])

METADATA_TYPES = (DICOM_JSON, JSON)
BODIES = f'{MULTIPART}; type="{DICOM}" or {MULTIPART}; type="{DICOM_JSON}"'


class StoreMixin:
    """What stores: POST to all studies, or to one."""

    verbs: ClassVar[dict[str, Verb]] = {**DicomwebView.verbs, "post": Verb.STUDY_SUBMIT}

    def post(self, request: Request, study_uid: str = "") -> HttpResponse:
        """Take the parts, and say of each what became of it."""
        choose_document(accepted_ranges(request))
        objects = _read_objects(request)
        expected = _read_expected(_option(request, EXPECTED))
        user, given = signed_in_user(request), _option(request, DEPARTMENT)
        seen: list[IncomingObject] = []
        # The rules are asked about the first object here, and about each when it is filed.
        choice = choose_department(actor=user, given=given, facts=_first_facts(objects, seen))
        outcomes = store_objects(
            actor=user,
            department=choice.department,
            is_routed=choice.is_routed,
            objects=chain(seen, objects),
            study_instance_uid=study_uid,
            expected_instances=expected,
        )
        return _answer(request, outcomes)


class StudiesView(StoreMixin, SearchView):
    """All studies: searched, and stored into."""

    reads: ClassVar[Reads] = {
        "get": told_by(Action.STUDIES_SEARCHED),
        "post": NOTHING,
    }
    parameters: ClassVar[Parameters] = {"get": SEARCHED, "post": STORED}

    level = Level.STUDY


class StudyView(StoreMixin, RetrieveView):
    """One study: retrieved, stored into, and deleted."""

    verbs: ClassVar[dict[str, Verb]] = {**StoreMixin.verbs, "delete": Verb.STUDY_DELETE}
    reads: ClassVar[Reads] = {
        "get": told_by(Action.STUDY_RETRIEVED),
        "post": NOTHING,
        "delete": NOTHING,
    }
    parameters: ClassVar[Parameters] = {
        "get": ACCEPTED,
        "post": STORED,
        "delete": takes("reason"),
    }

    def delete(self, request: Request, study_uid: str) -> Response:
        """Take it out of sight for the reason that the query states; it can be restored."""
        user = signed_in_user(request)
        study = find_study(user, study_uid)
        delete_study(actor=user, study=study, reason=request.query_params.get("reason", ""))
        return Response(status=HTTPStatus.NO_CONTENT)


def _answer(request: Request, outcomes: list[StoreOutcome]) -> HttpResponse:
    document, status = store_document(outcomes), store_status(outcomes)
    return document_response(request, document, status=status)


def _read_objects(request: Request) -> Iterator[IncomingObject]:
    """The objects of a body, whose first part is found now; raises what is wrong with it."""
    content_type, params = request._request.content_type, request._request.content_params or {}
    if content_type == DICOM:
        return _objects_of([body_stream(request._request)])
    inner = params.get("type", DICOM).lower()
    if content_type != MULTIPART or inner not in (DICOM, *METADATA_TYPES):
        raise MediaTypeUnsupported(offered=BODIES)
    parts = _plain(MultipartReader(body_stream(request._request), params.get("boundary", "")))
    first = next(parts, None)
    if first is None:
        raise MultipartBroken(detail="it has no part")
    parts = chain([first], parts)
    return _objects_of(parts) if inner == DICOM else _assembled(parts)


def _plain(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, none of which may be packed; raises MediaTypeUnsupported."""
    for part in parts:
        if part.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise MediaTypeUnsupported(offered="each part without a Content-Encoding")
        yield part


def _objects_of(parts: Iterable[Readable]) -> Iterator[IncomingObject]:
    for number, part in enumerate(parts, 1):
        stream = Peeked(part)
        identity = stream.identity
        yield IncomingObject(
            name=identity.sop_instance_uid or f"(part {number})",
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            stream=stream,
        )


def _first_facts(
    objects: Iterator[IncomingObject], seen: list[IncomingObject]
) -> Iterator[RoutingFacts]:
    """Tell what the first object is an image of; it stands in `seen` then, unread."""
    for first in islice(objects, 1):
        if first.refusal is None:
            stream = Peeked(first.stream)
            seen.append(replace(first, stream=stream))
            yield stream.facts
        else:
            seen.append(first)


def _assembled(parts: Iterable[Part]) -> Iterator[IncomingObject]:
    """Read all parts first: metadata and bulk data may come in any order."""
    assembly = Assembly()
    with ExitStack() as files:
        for number, part in enumerate(parts, 1):
            check_part_count(number)
            if part.media_type in METADATA_TYPES:
                file = files.enter_context(tempfile.TemporaryFile(dir=spool_directory()))
                assembly.add_metadata(part, file)
                continue
            bulk = files.enter_context(_spooled_bulk(part))
            syntax = part.parameters.get("transfer-syntax", "")
            location = part.headers.get("content-location", "")
            assembly.add_bulk(location, BulkPart(bulk, part.media_type, syntax))
        yield from assembly.objects()


@contextmanager
def _spooled_bulk(part: Part) -> Iterator[Spooled]:
    limit = settings.INTAKE_MAX_FILE_BYTES
    try:
        with spooled(part, limit=limit) as file:
            yield file
    except FileTooLarge as error:
        raise RequestTooLarge(limit=filesizeformat(limit)) from error


def _option(request: Request, names: tuple[str, str]) -> str:
    parameter, header = names
    return str(request.query_params.get(parameter) or request.headers.get(header, ""))


def _read_expected(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) == 0:
        raise ParameterInvalid(name=EXPECTED[0], problem="it is a whole number from 1.")
    return int(text)
