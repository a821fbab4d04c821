"""Whether a DICOM file holds all the pixels that its header announces, before decoding any."""

import os
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ml.images.absence import Absence, ends_early, ends_in_a_head, find_absence
from ml.images.image_pixel import HALVED_COLOUR
from records.dicom.errors import DicomTruncated, DicomUnreadable, ImageTooLarge
from records.dicom.reading.limits import ContentLimits, pixels_in_words
from records.dicom.reading.values import read_integer, read_text

UNDEFINED_LENGTH = 0xFFFFFFFF
PIXEL_DATA_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
ITEM = 0xFFFEE000
SEQUENCE_END = 0xFFFEE0DD
# Not all of them can be decoded: what can't is kept, and says so.
POSSIBLE_BITS = range(1, 65)
NATIVE_SYNTAXES = frozenset(
    {
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    }
)
LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the header says of the pixels; `frames` is 0 for an object without any.

    `absence` says why there are none.
    """

    rows: int | None
    columns: int | None
    frames: int
    bits_stored: int | None
    absence: Absence | None = None


@dataclass(frozen=True, slots=True)
class _PixelElement:
    length: int
    value_at: int


def check_structure(
    dataset: Dataset, stream: BinaryIO, *, syntax: UID, limits: ContentLimits
) -> Geometry:
    """Return the geometry of a data set whose `stream` stands where reading stopped.

    That is at the pixel data, or at the end. Raises DicomTruncated, DicomUnreadable and
    ImageTooLarge, before anything of the announced size is allocated.
    """
    end = _length_of(stream)
    if ends_early(dataset, position=stream.tell(), end=end):
        raise DicomTruncated(detail="it ends in the middle of its header")
    element = _pixel_element(dataset, stream)
    geometry = _geometry(dataset, limits, has_pixels=element is not None)
    if element is None:
        if ends_in_a_head(dataset, end=end):
            raise DicomTruncated(detail="it ends where another element begins")
        return replace(geometry, absence=find_absence(dataset, syntax))
    if element.length == UNDEFINED_LENGTH:
        _walk_fragments(stream, element.value_at, end)
    elif syntax in NATIVE_SYNTAXES:
        _check_native_length(dataset, geometry, element, end)
    elif syntax.is_transfer_syntax and not syntax.is_private:
        raise DicomUnreadable(detail="its pixel data is not encapsulated as its syntax demands")
    return geometry


def _length_of(stream: BinaryIO) -> int:
    here = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(here)
    return end


def _pixel_element(dataset: Dataset, stream: BinaryIO) -> _PixelElement | None:
    is_implicit, is_little_endian = dataset.original_encoding
    order = "<" if is_little_endian else ">"
    head = stream.read(12)
    if len(head) < 8:
        return None
    group, number = struct.unpack(f"{order}HH", head[:4])
    if (group << 16) + number not in PIXEL_DATA_TAGS:
        return None
    start = stream.tell() - len(head)
    # Some writers state an explicit syntax and leave the types out all the same.
    if is_implicit or not head[4:6].isalpha():
        return _PixelElement(struct.unpack(f"{order}L", head[4:8])[0], start + 8)
    if head[4:6] not in LONG_VRS:
        raise DicomUnreadable(detail="its pixel data has an impossible type")
    if len(head) < 12:
        raise DicomTruncated(detail="it ends where its pixel data begins")
    return _PixelElement(struct.unpack(f"{order}L", head[8:12])[0], start + 12)


def _geometry(dataset: Dataset, limits: ContentLimits, *, has_pixels: bool) -> Geometry:
    rows, columns = read_integer(dataset, "Rows"), read_integer(dataset, "Columns")
    frames = read_integer(dataset, "NumberOfFrames")
    count = max(frames if frames is not None else 1, 1)
    if has_pixels and not (rows and columns and rows > 0 and columns > 0):
        raise DicomUnreadable(detail="it has pixel data, but its header states no image size")
    if rows and columns:
        _check_pixel_count(limits, rows=rows, columns=columns, frames=count)
    return Geometry(
        rows=max(rows, 0) if rows is not None else None,
        columns=max(columns, 0) if columns is not None else None,
        frames=count if has_pixels else 0,
        bits_stored=_in_range(read_integer(dataset, "BitsStored"), 64),
    )


def _check_pixel_count(limits: ContentLimits, *, rows: int, columns: int, frames: int) -> None:
    frame_pixels = rows * columns
    if frame_pixels > limits.frame_pixels or frame_pixels * frames > limits.image_pixels:
        is_frame = frame_pixels > limits.frame_pixels
        times = f" in {frames} frames" if frames > 1 else ""
        limit = pixels_in_words(limits.frame_pixels if is_frame else limits.image_pixels)
        raise ImageTooLarge(
            size=f"{columns} × {rows} pixels{times}",
            limit=f"{limit} {'a frame' if is_frame else 'in all'}",
        )


def _in_range(number: int | None, highest: int) -> int | None:
    return number if number is not None and 0 <= number <= highest else None


def _check_native_length(
    dataset: Dataset, geometry: Geometry, element: _PixelElement, end: int
) -> None:
    bits = read_integer(dataset, "BitsAllocated")
    if bits is None or bits not in POSSIBLE_BITS:
        raise DicomUnreadable(detail="its header states an impossible number of bits per pixel")
    samples = read_integer(dataset, "SamplesPerPixel") or 1
    count = (geometry.rows or 0) * (geometry.columns or 0) * geometry.frames * samples
    expected = (count * bits + 7) // 8
    if read_text(dataset, "PhotometricInterpretation") in HALVED_COLOUR:
        expected = expected * 2 // 3
    held = min(element.length, end - element.value_at)
    if element.length > end - element.value_at or held < expected:
        raise DicomTruncated(detail=f"{held} of {max(expected, element.length)} bytes of pixels")


def _walk_fragments(stream: BinaryIO, position: int, end: int) -> None:
    """Follow the fragments to the end of their sequence.

    Some writers leave out the closing mark; a file that ends after a whole fragment is
    let through, and decoding a frame decides.
    """
    fragments = -1  # the first item is the offset table
    while position + 8 <= end:
        stream.seek(position)
        group, number, length = struct.unpack("<HHL", stream.read(8))
        tag = (group << 16) + number
        if tag == SEQUENCE_END:
            break
        if tag != ITEM or length == UNDEFINED_LENGTH:
            raise DicomUnreadable(detail="its compressed pixel data is not made of fragments")
        position += 8 + length
        fragments += 1
        if position > end:
            raise DicomTruncated(detail="it ends in the middle of its compressed pixels")
    if fragments < 1:
        raise DicomTruncated(detail="its compressed pixel data is empty")
