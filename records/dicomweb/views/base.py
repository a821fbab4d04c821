"""What every DICOMweb address shares: sign-in, permission and problems as in the REST API."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.negotiation import AnyAccept
from accounts.deliveries import DeliveredBody, Delivery
from accounts.parameters import Parameters, takes
from accounts.roles import Verb
from records.dicom.writing.dicom_json import JsonObject, to_text, to_xml
from records.dicomweb.multipart import new_boundary, write_parts
from records.dicomweb.negotiation import (
    DICOM_XML,
    MULTIPART,
    accepted_ranges,
    choose_document,
)

ACCEPTED = takes(repeatable=("accept",))
Headers = dict[str, str]
PartContent = tuple[Headers, Iterable[bytes]]
Document = JsonObject | str
"""A data set in the DICOM JSON model, or its text."""


class DicomwebView(APIView):
    """An address of PS3.18; the media types are its own affair, not the framework's.

    Left out of the OpenAPI document: the conformance statement describes it.
    """

    verbs: ClassVar[dict[str, Verb]] = {
        "get": Verb.STUDY_VIEW,
        "options": Verb.STUDY_VIEW,
    }
    parameters: ClassVar[Parameters] = ACCEPTED
    schema = None
    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    content_negotiation_class = AnyAccept


def documents_response(
    request: Request,
    documents: Iterable[Document],
    headers: Headers | None = None,
    delivery: Delivery | None = None,
) -> StreamingHttpResponse:
    """Send data sets one by one, as a JSON array or as XML parts; raises NotAcceptable."""
    media_type = choose_document(accepted_ranges(request))
    if media_type == DICOM_XML:
        xml_parts = (
            ({"Content-Type": DICOM_XML}, [_as_xml(document).encode()]) for document in documents
        )
        return multipart_response(xml_parts, media_type, headers=headers, delivery=delivery)
    pieces = delivered(started(_array_pieces(documents)), delivery)
    return StreamingHttpResponse(pieces, content_type=media_type, headers=headers)


def document_response(
    request: Request, document: JsonObject, *, status: int, headers: Headers | None = None
) -> HttpResponse:
    """Send one data set, as JSON unless the client takes XML alone."""
    media_type = choose_document(accepted_ranges(request))
    text = to_xml(document) if media_type == DICOM_XML else to_text(document)
    return HttpResponse(text.encode(), content_type=media_type, status=status, headers=headers)


def multipart_response(
    parts: Iterable[PartContent],
    part_type: str,
    *,
    status: int = 200,
    headers: Headers | None = None,
    delivery: Delivery | None = None,
) -> StreamingHttpResponse:
    """Send parts one by one, each made when its turn comes."""
    boundary = new_boundary()
    return StreamingHttpResponse(
        delivered(started(write_parts(parts, boundary=boundary)), delivery),
        content_type=f'{MULTIPART}; type="{part_type}"; boundary={boundary}',
        status=status,
        headers=headers,
    )


def delivered(
    pieces: Iterator[bytes], delivery: Delivery | None, *, instances: int = 0
) -> Iterator[bytes]:
    """The body of an answer; where it is somebody's delivery, what leaves of it is told."""
    return pieces if delivery is None else DeliveredBody(pieces, delivery, instances=instances)


def started(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Make the first two pieces now: what fails at once is an answer, not a torn connection.

    Of a multipart body they are the first part's headers and the beginning of its content.
    """
    first = [piece for _, piece in zip(range(2), pieces, strict=False)]
    return chain(first, pieces)


def _as_xml(document: Document) -> str:
    return to_xml(json.loads(document) if isinstance(document, str) else document)


def _array_pieces(documents: Iterable[Document]) -> Iterator[bytes]:
    mark = "["
    for document in documents:
        text = document if isinstance(document, str) else to_text(document)
        yield f"{mark}{text}".encode()
        mark = ","
    yield b"]" if mark == "," else b"[]"
