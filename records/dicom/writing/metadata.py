"""Data sets that came as DICOM JSON (PS3.18 F), made into files around their pixels."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from records.dicom.errors import DicomUnreadable
from records.dicom.reading.values import PARSE_ERRORS
from records.dicom.writing.encoding import encode_around_pixels

PIXEL_DATA = "7FE00010"
META_GROUP = "0002"
SYNTAX = "00083002"
UIDS = ("00080016", "00080018")
LONGEST_UID = 64
UNICODE = "ISO_IR 192"
MOST_SECONDS = 1.0
"""After so long the rest is left for the next question; each is answered within its limits."""

Document = dict[str, Any]
ReadValue = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Named:
    """What a data set says of itself, and which bulk data it names: its pixels, and others."""

    sop_class_uid: str
    sop_instance_uid: str
    syntax: str
    pixels: str
    others: list[str]


@dataclass(frozen=True, slots=True)
class Around:
    """A file but for its pixels: what stands before their element, and after it.

    `before` is empty where the data set can't be written; `is_narrow` says that a pixel has one
    byte.
    """

    before: bytes = b""
    after: bytes = b""
    is_narrow: bool = True


def read_documents(content: bytes) -> list[Document]:
    """Return the data sets of a text, one or an array of them. Raises DicomUnreadable."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DicomUnreadable(detail="its metadata are not JSON") from error
    documents = found if isinstance(found, list) else [found]
    if not all(isinstance(document, dict) for document in documents):
        raise DicomUnreadable(detail="its metadata are not data sets")
    return documents


def name(document: Document) -> Named:
    """Say what a data set is, without reading it."""
    pixels = _uri(document.get(PIXEL_DATA))
    rest = [value for tag, value in document.items() if tag != PIXEL_DATA]
    sop_class, sop_instance = (_first(document, tag) for tag in UIDS)
    return Named(sop_class, sop_instance, _first(document, SYNTAX), pixels, _uris(rest))


def put_together(
    documents: Sequence[Document], syntaxes: Sequence[str], read_value: ReadValue
) -> list[Around]:
    """Encode data sets, each in its own syntax, as many as the time allows and at least one.

    `read_value` returns the bulk data at an address; it raises KeyError where there is none.
    """
    started, found = time.monotonic(), list[Around]()
    for document, syntax in zip(documents, syntaxes, strict=False):
        if found and time.monotonic() - started > MOST_SECONDS:
            break
        try:
            found.append(_around(document, syntax, read_value))
        except PARSE_ERRORS:
            found.append(Around())
    return found


def _around(document: Document, syntax: str, read_value: ReadValue) -> Around:
    pixels = document.get(PIXEL_DATA)
    is_elsewhere = bool(_uri(pixels))
    kept = {
        tag: value
        for tag, value in document.items()
        if not tag.startswith(META_GROUP) and not (is_elsewhere and tag == PIXEL_DATA)
    }
    dataset = Dataset.from_json(kept, bulk_data_uri_handler=lambda tag, vr, uri: read_value(uri))
    # JSON is Unicode, so that is what every text of it can be written in.
    dataset.walk(_leave_character_set_out)
    dataset.SpecificCharacterSet = UNICODE
    before, after = encode_around_pixels(dataset, syntax=syntax)
    return Around(before, after, is_narrow=dataset.get("BitsAllocated", 16) <= 8)


def _leave_character_set_out(dataset: Dataset, element: Any) -> None:
    if element.keyword == "SpecificCharacterSet":
        del dataset[element.tag]


def _uris(value: object) -> list[str]:
    """The addresses of bulk data anywhere inside a value."""
    found, waiting = list[str](), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            found += [uri] if (uri := _uri(each)) else []
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return sorted(set(found))


def _uri(element: object) -> str:
    uri = element.get("BulkDataURI") if isinstance(element, Mapping) else None
    return uri if isinstance(uri, str) else ""


def _first(document: Document, tag: str) -> str:
    try:
        return str(document[tag]["Value"][0])[:LONGEST_UID]
    except (KeyError, IndexError, TypeError):
        return ""
