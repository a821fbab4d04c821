"""What a child can be asked about one file. Runs without Django, settings or rows."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.images import Frame, read_frames
from records.intake.declared import DeclaredFields
from records.intake.header import DicomHeader, read_header
from records.intake.limits import ContentLimits
from records.intake.photograph import PhotographUids, as_dicom
from records.intake.preamble import missing_wrapping
from records.intake.proof import Exclusion, find_exclusion
from records.intake.sniff import Kind


@dataclass(frozen=True, slots=True)
class Examination:
    """Ask what a DICOM file says of itself, and whether its pixels can be decoded."""

    limits: ContentLimits


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that can be filed."""

    header: DicomHeader
    exclusion: Exclusion


@dataclass(frozen=True, slots=True)
class Conversion:
    """Ask for the DICOM file of a picture."""

    limits: ContentLimits
    kind: Kind
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
    """Ask what a bare data set lacks to be a file."""


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
class Job:
    """One kind of question: its type, what answers it, and the answer's type."""

    question: type
    answer: Callable[[Any, bytes], object]
    result: type


def examine(question: Examination, content: bytes) -> Examined:
    """Raises the errors of `read_header`."""
    header = read_header(content, question.limits)
    return Examined(header, find_exclusion(content, header))


def convert(question: Conversion, content: bytes) -> Converted:
    """Raises the errors of `as_dicom`."""
    converted = as_dicom(
        content,
        kind=question.kind,
        declared=question.declared,
        uids=question.uids,
        number=question.number,
    )
    examined = examine(Examination(question.limits), converted)
    return Converted(examined, np.frombuffer(converted, np.uint8))


def wrap(question: Wrapping, content: bytes) -> Wrapped:
    """Raises DicomUnreadable."""
    return Wrapped(np.frombuffer(missing_wrapping(content), np.uint8))


def decode_frames(question: Decoding, content: bytes) -> Decoded:
    """Raises the errors of `ml.images.read_frames`."""
    return Decoded(read_frames(content, frames=question.frames))


JOBS = {
    "examine": Job(Examination, examine, Examined),
    "convert": Job(Conversion, convert, Converted),
    "wrap": Job(Wrapping, wrap, Wrapped),
    "decode": Job(Decoding, decode_frames, Decoded),
}
NAMES = {job.question: name for name, job in JOBS.items()}


def read_whole(file: int) -> bytes:
    """The content of an open file, wherever its sender stood in it."""
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "rb", buffering=0, closefd=False) as stream:  # noqa: PTH123
        return stream.readall()
