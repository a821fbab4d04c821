"""Objects put together from metadata and bulk data that came as parts of one request.

The metadata are read, and the files around the pixels written, in an isolated child.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO

from django.conf import settings
from pydicom.uid import ExplicitVRLittleEndian

from records.dicom.reading.sniff import jpeg_syntax
from records.dicom.reading.stored import UNDEFINED
from records.dicom.sandbox.jobs import AssembledFile
from records.dicom.writing.encoding import encapsulated, pixel_head
from records.dicom.writing.metadata import PIXEL_DATA, Named
from records.dicomweb.negotiation import COMPRESSED_TYPES, JPEG, OCTET_STREAM, OLD_NAMES
from records.errors import BulkDataMissing, DicomUnreadable, FileRejected, MultipartBroken
from records.files.sandboxed import sandbox
from records.files.sending import CHUNK_BYTES
from records.files.spool import Readable
from records.files.stores import Spooled
from records.services.storing import IncomingObject

LARGEST_METADATA = 32 * 1024 * 1024
"""Of one request: those of some thousand slices."""

LARGEST_VALUE = 64 * 1024 * 1024
ASKED_AT_ONCE = 200
HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class BulkPart:
    """A bulk data part: the file it was spooled to, and what its Content-Type says.

    `syntax` is the transfer syntax that is stated, "" where none is.
    """

    file: Spooled
    media_type: str
    syntax: str


@dataclass(slots=True)
class _Metadata:
    """A metadata part in a file, with the bulk data that its data sets name after it."""

    file: IO[bytes]
    text_bytes: int
    values: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add_value(self, uri: str, path: Path) -> None:
        """Put bulk data after what is there."""
        start = self.file.seek(0, 2)
        for data in _read(path):
            self.file.write(data)
        self.values[uri] = start, self.file.tell() - start

    def flush(self) -> None:
        """Make sure that whoever opens the file finds all of it."""
        self.file.flush()


@dataclass(slots=True)
class Assembly:
    """Metadata and bulk data parts of one request, in whatever order they came."""

    _metadata: list[_Metadata] = field(default_factory=list)
    _bulk: dict[str, list[BulkPart]] = field(default_factory=dict)
    _metadata_bytes: int = 0

    def add_metadata(self, stream: Readable, file: IO[bytes]) -> None:
        """Copy one data set, or an array of them, to an open file; raises MultipartBroken."""
        while data := stream.read(CHUNK_BYTES):
            self._metadata_bytes += len(data)
            if self._metadata_bytes > LARGEST_METADATA:
                raise MultipartBroken(detail="its metadata are too large")
            file.write(data)
        file.flush()
        self._metadata.append(_Metadata(file, file.tell()))

    def add_bulk(self, location: str, part: BulkPart) -> None:
        """Take one bulk data part; the frames of one value share their location, in order."""
        self._bulk.setdefault(location, []).append(part)

    def objects(self) -> Iterator[IncomingObject]:
        """Return the objects, each as the file that it would have been; raises MultipartBroken."""
        listed = [(one, _documents_of(one)) for one in self._metadata]
        _check_document_count(sum(len(documents) for _, documents in listed))
        return chain.from_iterable(self._objects_of(one, documents) for one, documents in listed)

    def _objects_of(
        self, metadata: _Metadata, documents: Sequence[Named]
    ) -> Iterator[IncomingObject]:
        """Ask for some files at a time; one that a child can't make alone is refused."""
        plans = [_Plan(document, self._bulk) for document in documents]
        for uri in sorted({uri for plan in plans for uri in plan.values}):
            metadata.add_value(uri, self._bulk[uri][0].file.path)
        metadata.flush()
        first, most = 0, ASKED_AT_ONCE
        while first < len(plans):
            asked = plans[first : first + most]
            try:
                files = sandbox.assemble(
                    metadata.file,
                    first=first,
                    syntaxes=[plan.syntax for plan in asked],
                    text_bytes=metadata.text_bytes,
                    values=metadata.values,
                )
            except FileRejected as refusal:
                if len(asked) > 1:
                    most = 1
                    continue
                yield asked[0].refused(refusal)
                first += 1
            else:
                yield from (plan.made(file) for plan, file in zip(asked, files, strict=False))
                first += len(files)
            most = ASKED_AT_ONCE


class _Plan:
    """What one data set becomes, as far as its bulk data allow."""

    def __init__(self, document: Named, bulk: dict[str, list[BulkPart]]) -> None:
        self._document = document
        self._refusal: FileRejected | None = None
        self._parts: list[BulkPart] = []
        self.values: list[str] = []
        self.syntax = str(ExplicitVRLittleEndian)
        try:
            self._look_up(bulk)
        except FileRejected as refusal:
            self._refusal = refusal

    def _look_up(self, bulk: dict[str, list[BulkPart]]) -> None:
        for uri in self._document.others:
            if len(bulk.get(uri, ())) != 1 or bulk[uri][0].file.size > LARGEST_VALUE:
                raise BulkDataMissing(detail="a value is missing, too large, or comes twice")
        if self._document.pixels:
            self._parts = bulk.get(self._document.pixels, [])
            if not self._parts:
                raise BulkDataMissing(detail="a part is missing")
            syntaxes = {_syntax_of(part, self._document.syntax) for part in self._parts}
            if len(syntaxes) > 1:
                raise BulkDataMissing(detail="its frames come in several transfer syntaxes")
            (self.syntax,) = syntaxes
        self.values = self._document.others

    def made(self, file: AssembledFile) -> IncomingObject:
        """The object, as a file that is put together while it is read."""
        if self._refusal is not None:
            return self.refused(self._refusal)
        if file.before is None:
            return self.refused(DicomUnreadable(detail="its metadata don't make a data set"))
        after = [] if file.after is None else [file.after.tobytes()]
        return self._object(_Pieces(chain([file.before.tobytes()], self._pixels(file), after)))

    def refused(self, refusal: FileRejected) -> IncomingObject:
        """The object, and why there is no file of it."""
        return self._object(BytesIO(), refusal)

    def _object(self, stream: Readable, refusal: FileRejected | None = None) -> IncomingObject:
        document = self._document
        return IncomingObject(
            document.sop_instance_uid or "(metadata)",
            document.sop_class_uid,
            document.sop_instance_uid,
            stream,
            refusal,
        )

    def _pixels(self, file: AssembledFile) -> Iterator[bytes]:
        """The element of the pixels: one value, or a code stream a part."""
        if not self._parts:
            return iter(())
        tag, parts = int(PIXEL_DATA, 16), self._parts
        if parts[0].media_type == OCTET_STREAM and self.syntax == ExplicitVRLittleEndian:
            length = sum(part.file.size for part in parts)
            vr = "OB" if file.is_narrow else "OW"
            head = pixel_head(tag=tag, vr=vr, length=length + length % 2)
            content = chain.from_iterable(_read(part.file.path) for part in parts)
            return chain([head], content, [b"\0" * (length % 2)])
        frames = ((part.file.size, _read(part.file.path)) for part in parts)
        return chain([pixel_head(tag=tag, vr="OB", length=UNDEFINED)], encapsulated(frames))


class _Pieces:
    """Pieces of bytes as a file to be read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
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


def _documents_of(metadata: _Metadata) -> list[Named]:
    """What a metadata part holds, asked for some at a time; raises MultipartBroken."""
    found: list[Named] = []
    try:
        while True:
            listed = sandbox.list_documents(metadata.file, first=len(found), most=ASKED_AT_ONCE)
            found += listed.documents
            if len(found) >= listed.total or not listed.documents:
                return found
            _check_document_count(listed.total)
    except FileRejected as error:
        detail = str(error.context.get("detail") or "its metadata take too much to read")
        raise MultipartBroken(detail=detail) from error


def _check_document_count(count: int) -> None:
    if not 0 < count <= settings.INTAKE_MAX_FILES:
        limit = f"more than {settings.INTAKE_MAX_FILES}" if count else "no"
        raise MultipartBroken(detail=f"its metadata hold {limit} data sets")


def _syntax_of(part: BulkPart, named: str) -> str:
    """How a part is compressed: what its bytes show, what is stated, or its type's default.

    `named` is Available Transfer Syntax UID (0008,3002) of the data set.
    """
    media_type = OLD_NAMES.get(part.media_type, part.media_type)
    own = COMPRESSED_TYPES.get(media_type, (str(ExplicitVRLittleEndian),))
    if media_type == JPEG:
        with part.file.path.open("rb") as stream:
            if shown := jpeg_syntax(stream.read(HEAD_BYTES)):
                return shown
    return part.syntax or (named if named in own else own[0])


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(CHUNK_BYTES):
            yield data


def check_part_count(count: int) -> None:
    """Refuse more parts than one request may have; raises MultipartBroken."""
    if count > settings.INTAKE_MAX_FILES:
        raise MultipartBroken(detail=f"it has more than {settings.INTAKE_MAX_FILES} parts")
