"""What a child can be asked about one file. Runs without Django, settings or rows."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImageHasNoPixels
from ml.images import Frame, read_frames
from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.header import DicomHeader, read_header
from records.dicom.reading.limits import ContentLimits
from records.dicom.reading.preamble import missing_wrapping
from records.dicom.reading.proof import ALWAYS_PROVED, Exclusion, prove_object
from records.dicom.reading.statements import read_statement
from records.dicom.reading.stored import read_stored
from records.dicom.sandbox.lockdown import time_until
from records.dicom.sandbox.wire import OUTPUT_PER_PIXEL, check_carried
from records.dicom.writing import descriptions, metadata
from records.dicom.writing.bulk_data import find_value
from records.dicom.writing.frames import native_frames, stored_frames, unpacked_frames
from records.dicom.writing.photograph import PhotographUids, as_dicom
from records.dicom.writing.rewriting import outline

# Header and frames of an image up to which size does not count, and what comes on top of it: the
# slowest decoder, JPEG 2000's, with time to spare.
SMALL_IMAGE_SECONDS = 4
PROOF_SECONDS_PER_PIXEL = 0.6e-6
# A header that took longer to be read is described when somebody asks for it.
QUICK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Examination:
    """Ask what a DICOM file says of itself, and whether its pixels can be decoded."""

    limits: ContentLimits


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that can be filed; `remarks` are sentences for its verdict.

    `document` describes it for whoever asks, unless that is long.
    """

    header: DicomHeader
    exclusion: Exclusion
    remarks: list[str]
    document: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """Ask for the DICOM file of a picture."""

    limits: ContentLimits
    declared: DeclaredFields
    uids: PhotographUids
    number: int


@dataclass(frozen=True, slots=True)
class Converted:
    """The DICOM file of a picture, and what examining it gave."""

    examined: Examined
    content: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Wrapping:
    """Ask what a bare data set lacks to be a file, in so many seconds of processor time."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The bytes that have to stand before it."""

    content: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Decoding:
    """Ask for frames of an image, counted from 0."""

    frames: list[int]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Those frames, in that order."""

    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class Description:
    """Ask for all that a stored object says but its pixels; `syntax` is its transfer syntax."""

    syntax: str


@dataclass(frozen=True, slots=True)
class Described:
    """Its DICOM JSON, packed (`records.dicom.writing.descriptions`)."""

    document: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Extraction:
    """Ask for one binary value of a stored object by its path, "00880200/1/00282000"."""

    path: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """The value, or where it lies in the file; neither where there is none."""

    place: tuple[int, int] | None
    content: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Cutting:
    """Ask for frames, counted from 0: code streams as stored, or Explicit VR Little Endian's."""

    frames: list[int]
    is_as_stored: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """Those frames, in that order."""

    frames: list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Unpacking:
    """Ask for the stored values of frames, counted from 0, however they are compressed."""

    frames: list[int]


@dataclass(frozen=True, slots=True)
class Stating:
    """Ask what an object says, however it is written (`records.dicom.reading.statements`)."""


@dataclass(frozen=True, slots=True)
class Stated:
    """The JSON text of a Statement, in UTF-8."""

    statement: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Ask for a stored object in another syntax, explicit or implicit, little endian."""

    syntax: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The file but for its pixels, and where these come from (`writing.rewriting`)."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8] | None
    copied: tuple[int, int] | None
    frame_count: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Ask which data sets a text of DICOM JSON holds, from the `first` on."""

    first: int
    most: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Those data sets, and how many there are in all."""

    total: int
    documents: list[metadata.Named]


@dataclass(frozen=True, slots=True)
class Assembling:
    """Ask for the files of data sets from the `first` on, each in its own transfer syntax.

    `values` are the places of bulk data that follow the text, whose length is `text_bytes`.
    """

    first: int
    syntaxes: list[str]
    text_bytes: int
    values: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AssembledFile:
    """A file but for its pixels (`writing.metadata.Around`); None where there is none."""

    before: NDArray[np.uint8] | None
    after: NDArray[np.uint8] | None
    is_narrow: bool


@dataclass(frozen=True, slots=True)
class Assembled:
    """The files of those data sets, or of as many as the time allowed."""

    files: list[AssembledFile]


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of question: its type, what answers it, and the answer's type."""

    question: type
    answer: Callable[[Any, bytes], object]
    result: type


def examine(question: Examination, content: bytes) -> Examined:
    """Raises the errors of `read_header`."""
    started = time.process_time()
    with time_until(started + question.limits.header_seconds):
        header = read_header(content, question.limits)
    is_quick = time.process_time() - started < QUICK_SECONDS
    seconds = SMALL_IMAGE_SECONDS + PROOF_SECONDS_PER_PIXEL * _proved_pixels(header)
    room = OUTPUT_PER_PIXEL * question.limits.frame_pixels
    with time_until(started + seconds):
        proof = prove_object(content, header, check=partial(check_carried, Frame, room=room))
    with time_until(time.process_time() + SMALL_IMAGE_SECONDS):
        syntax = header.transfer_syntax_uid
        document = descriptions.describe_briefly(content, syntax=syntax) if is_quick else None
    return Examined(header, proof.exclusion, proof.remarks, _array(document or b""))


def _proved_pixels(header: DicomHeader) -> int:
    """How many there are in the frames that are always decoded."""
    geometry = header.geometry
    return (geometry.rows or 0) * (geometry.columns or 0) * min(geometry.frames, ALWAYS_PROVED)


def convert(question: Conversion, content: bytes) -> Converted:
    """Raises the errors of `as_dicom`."""
    made = as_dicom(
        content,
        declared=question.declared,
        uids=question.uids,
        number=question.number,
    )
    examined = examine(Examination(question.limits), made.content)
    remarks = [*made.remarks, *examined.remarks]
    return Converted(replace(examined, remarks=remarks), np.frombuffer(made.content, np.uint8))


def wrap(question: Wrapping, content: bytes) -> Wrapped:
    """Raises DicomUnreadable."""
    with time_until(time.process_time() + question.seconds):
        return Wrapped(np.frombuffer(missing_wrapping(content), np.uint8))


def decode_frames(question: Decoding, content: bytes) -> Decoded:
    """Raises the errors of `ml.images.read_frames`."""
    return Decoded(read_frames(content, frames=question.frames))


def describe(question: Description, content: bytes) -> Described:
    """Raises what pydicom does for a broken file, which a stored one isn't."""
    return Described(
        np.frombuffer(descriptions.describe(content, syntax=question.syntax), np.uint8)
    )


def extract(question: Extraction, content: bytes) -> Extracted:
    """Never raises for a path that leads nowhere."""
    found = find_value(read_stored(content), question.path)
    if isinstance(found, bytes):
        return Extracted(None, _array(found))
    return Extracted(found, None)


def cut_frames(question: Cutting, content: bytes) -> Cut:
    """Raises the errors of `ml.images.read_frames`."""
    stored = read_stored(content)
    if stored.pixels is None:
        raise ImageHasNoPixels(detail="no pixel data")
    cut = stored_frames if question.is_as_stored else native_frames
    return Cut(cut(stored, stored.pixels, question.frames))


def unpack(question: Unpacking, content: bytes) -> Cut:
    """Raises the errors of `ml.images.read_frames`."""
    return Cut(unpacked_frames(content, question.frames))


def state(question: Stating, content: bytes) -> Stated:
    """Raises what pydicom does for a broken file."""
    return Stated(np.frombuffer(read_statement(content).to_json(), np.uint8))


def rewrite(question: Rewriting, content: bytes) -> Rewritten:
    """Raises the errors of `ml.images.read_frames`."""
    found = outline(read_stored(content), syntax=question.syntax)
    return Rewritten(
        before=np.frombuffer(found.before, np.uint8),
        after=_array(found.after),
        copied=found.copied,
        frame_count=found.frame_count,
        frame_bytes=found.frame_bytes,
    )


def list_documents(question: Listing, content: bytes) -> Listed:
    """Raises DicomUnreadable."""
    documents = metadata.read_documents(content)
    wanted = documents[question.first : question.first + question.most]
    return Listed(len(documents), [metadata.name(document) for document in wanted])


def assemble(question: Assembling, content: bytes) -> Assembled:
    """Raises DicomUnreadable."""
    documents = metadata.read_documents(content[: question.text_bytes])

    def read_value(uri: str) -> bytes:
        start, length = question.values[uri]
        return content[start : start + length]

    found = metadata.put_together(documents[question.first :], question.syntaxes, read_value)
    return Assembled(
        [AssembledFile(_array(one.before), _array(one.after), one.is_narrow) for one in found]
    )


def _array(content: bytes) -> NDArray[np.uint8] | None:
    return np.frombuffer(content, np.uint8) if content else None


JOBS = {
    "examine": Job(Examination, examine, Examined),
    "convert": Job(Conversion, convert, Converted),
    "wrap": Job(Wrapping, wrap, Wrapped),
    "decode": Job(Decoding, decode_frames, Decoded),
    "describe": Job(Description, describe, Described),
    "extract": Job(Extraction, extract, Extracted),
    "cut": Job(Cutting, cut_frames, Cut),
    "unpack": Job(Unpacking, unpack, Cut),
    "state": Job(Stating, state, Stated),
    "rewrite": Job(Rewriting, rewrite, Rewritten),
    "list": Job(Listing, list_documents, Listed),
    "assemble": Job(Assembling, assemble, Assembled),
}
NAMES = {job.question: name for name, job in JOBS.items()}


def read_whole(file: int) -> bytes:
    """The content of an open file, whose position, which is its sender's too, stays where it is."""
    parts: list[bytes] = []
    position, size = 0, os.fstat(file).st_size
    while position < size and (part := os.pread(file, size - position, position)):
        parts.append(part)
        position += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
