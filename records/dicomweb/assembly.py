"""Objects put together from metadata and bulk data that came as parts of one request."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from django.conf import settings
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from records.dicomweb.negotiation import COMPRESSED_TYPES, OCTET_STREAM, OLD_NAMES
from records.errors import BulkDataMissing, DicomUnreadable, FileRejected, MultipartBroken
from records.intake.storage import Readable, Spooled
from records.intake.values import PARSE_ERRORS
from records.outgoing.encoding import encapsulated, pixel_head, write_file
from records.outgoing.stored import UNDEFINED
from records.sending import CHUNK_BYTES
from records.services.storing import IncomingObject

LARGEST_METADATA = 64 * 1024 * 1024
LARGEST_VALUE = 64 * 1024 * 1024
PIXEL_DATA = "7FE00010"
META_GROUP = "0002"
UIDS = ("00080016", "00080018", "0020000D")


@dataclass(frozen=True, slots=True)
class BulkPart:
    """A bulk data part: the file it was spooled to, and what its Content-Type says."""

    file: Spooled
    media_type: str
    syntax: str


@dataclass(slots=True)
class Assembly:
    """Metadata and bulk data parts of one request, in whatever order they came."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    bulk: dict[str, list[BulkPart]] = field(default_factory=dict)

    def add_metadata(self, stream: Readable) -> None:
        """Take one data set, or an array of them; raises MultipartBroken."""
        content = bytearray()
        while data := stream.read(CHUNK_BYTES):
            content += data
            if len(content) > LARGEST_METADATA:
                raise MultipartBroken(detail="its metadata are too large")
        try:
            found = json.loads(bytes(content))
        except (ValueError, RecursionError) as error:
            raise MultipartBroken(detail="its metadata are not JSON") from error
        documents = found if isinstance(found, list) else [found]
        if not all(isinstance(document, dict) for document in documents):
            raise MultipartBroken(detail="its metadata are not data sets")
        self.documents += documents

    def add_bulk(self, location: str, part: BulkPart) -> None:
        """Take one bulk data part; the frames of one value share their location, in order."""
        self.bulk.setdefault(location, []).append(part)

    def objects(self) -> Iterator[IncomingObject]:
        """Yield the objects, each as the file that it would have been."""
        for document in self.documents:
            sop_class, sop_instance, study = (_uid(document, tag) for tag in UIDS)
            refusal: FileRejected | None = None
            stream: Readable = io.BytesIO()
            try:
                stream = _Pieces(self._file_pieces(document))
            except FileRejected as error:
                refusal = error
            except PARSE_ERRORS:
                refusal = DicomUnreadable(detail="its metadata don't make a data set")
            yield IncomingObject(
                sop_instance or "(metadata)", study, sop_class, sop_instance, stream, refusal
            )

    def _file_pieces(self, document: dict[str, Any]) -> Iterator[bytes]:
        """The pieces of the file; the first is made at once, so that what is wrong shows here."""
        document = {tag: value for tag, value in document.items() if not tag.startswith(META_GROUP)}
        pixels = document.pop(PIXEL_DATA, None)
        dataset = Dataset.from_json(document, bulk_data_uri_handler=self._read_value)
        uri = pixels.get("BulkDataURI") if isinstance(pixels, dict) else None
        if uri is None:
            if pixels is not None:
                dataset.update(Dataset.from_json({PIXEL_DATA: pixels}))
            pieces = write_file(dataset, syntax=ExplicitVRLittleEndian, pixels=None)
        else:
            syntax, content = _pixel_pieces(self._parts_of(uri), dataset)
            pieces = write_file(dataset, syntax=syntax, pixels=content)
        return chain([next(pieces)], pieces)

    def _parts_of(self, uri: str) -> list[BulkPart]:
        if uri not in self.bulk:
            raise BulkDataMissing(detail="a part is missing")
        return self.bulk[uri]

    def _read_value(self, tag: str, vr: str, uri: str) -> bytes:
        (part, *more) = self._parts_of(uri)
        if more or part.file.size > LARGEST_VALUE:
            raise BulkDataMissing(detail="a value is too large, or comes twice")
        return part.file.path.read_bytes()


class _Pieces:
    """Pieces of bytes as a file to be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        taken = self._rest[:size] if size > 0 else self._rest
        self._rest = self._rest[len(taken) :]
        return taken


def part_syntax(media_type: str, stated: str) -> str:
    """The transfer syntax of a bulk data part: the one stated, or its media type's own."""
    media_type = OLD_NAMES.get(media_type, media_type)
    own = COMPRESSED_TYPES.get(media_type, (str(ExplicitVRLittleEndian),))
    return stated or own[0]


def _pixel_pieces(
    parts: list[BulkPart], dataset: Dataset
) -> tuple[str, tuple[bytes, Iterable[bytes]]]:
    """The syntax, and the head and pieces of the pixels: one value, or a code stream a part."""
    tag = int(PIXEL_DATA, 16)
    if len({part.syntax for part in parts}) != 1:
        raise BulkDataMissing(detail="its frames come in several transfer syntaxes")
    if parts[0].media_type == OCTET_STREAM and parts[0].syntax == ExplicitVRLittleEndian:
        length = sum(part.file.size for part in parts)
        vr = "OB" if dataset.get("BitsAllocated", 16) <= 8 else "OW"
        head = pixel_head(tag=tag, vr=vr, length=length + length % 2)
        content = chain.from_iterable(_read(part.file.path) for part in parts)
        return parts[0].syntax, (head, chain(content, [b"\0" * (length % 2)]))
    frames = ((part.file.size, _read(part.file.path)) for part in parts)
    head = pixel_head(tag=tag, vr="OB", length=UNDEFINED)
    return parts[0].syntax, (head, encapsulated(frames))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(CHUNK_BYTES):
            yield data


def _uid(document: dict[str, Any], tag: str) -> str:
    try:
        return str(document[tag]["Value"][0])[:64]
    except (KeyError, IndexError, TypeError):
        return ""


def check_part_count(count: int) -> None:
    """Refuse more parts than one request may have; raises MultipartBroken."""
    if count > settings.INTAKE_MAX_FILES:
        raise MultipartBroken(detail=f"it has more than {settings.INTAKE_MAX_FILES} parts")
