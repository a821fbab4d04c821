"""DICOM files written a piece at a time, around given pixels, in a little endian syntax."""

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from records.dicom.reading.preamble import PREAMBLE
from records.dicom.reading.stored import UNDEFINED

PIXEL_DATA = 0x7FE00010
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
ITEM = 0xFFFE, 0xE000
WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
LONGEST_PIXELS = UNDEFINED - 1


def write_file(
    dataset: Dataset, *, syntax: str, pixels: tuple[bytes, Iterable[bytes]] | None
) -> Iterator[bytes]:
    """Yield a Part 10 file: what stands before the pixels, their head and pieces, the rest.

    `dataset` holds all but the pixels; `pixels` are the bytes of their element's head (of
    `pixel_head`) and of its value.
    """
    before, after = encode_around_pixels(dataset, syntax=syntax)
    yield before
    if pixels is not None:
        yield pixels[0]
        yield from pixels[1]
    if after:
        yield after


def encode_around_pixels(dataset: Dataset, *, syntax: str) -> tuple[bytes, bytes]:
    """A file's bytes up to the head of its pixels, and those after their value."""
    is_implicit_vr, is_little_endian = dataset.original_encoding
    before, after = Dataset(), Dataset()
    for tag in dataset.keys():  # noqa: SIM118 - iterating a data set parses every value
        if tag.group != 0x0002:
            (before if tag < PIXEL_DATA else after)[tag] = dataset.get_item(tag)
    for half in (before, after):
        half.set_original_encoding(is_implicit_vr, is_little_endian, dataset._character_set)
    head = PREAMBLE + _encode_meta(dataset, syntax) + _encode(before, syntax)
    return head, _encode(after, syntax)


def pixel_head(*, tag: int, vr: str, length: int, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The head of the pixel data element; `length` may be UNDEFINED."""
    if syntax == ImplicitVRLittleEndian:
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode("ascii"), 0, length)


def encapsulated(frames: Iterable[tuple[int, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield code streams, given by length and pieces, as the items of one encapsulated value."""
    yield struct.pack("<HHL", *ITEM, 0)
    for length, pieces in frames:
        padding = length % 2
        yield struct.pack("<HHL", *ITEM, length + padding)
        yield from pieces
        yield b"\0" * padding
    yield SEQUENCE_END


def swap_words(dataset: Dataset) -> None:
    """Turn the words of binary values from big to little endian; pydicom leaves them."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                swap_words(item)
        elif element.VR in WORD_BYTES and isinstance(element.value, bytes):
            words = np.frombuffer(element.value, dtype=f">u{WORD_BYTES[element.VR]}")
            element.value = words.astype(words.dtype.newbyteorder("<")).tobytes()


def _encode(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _encode_meta(dataset: Dataset, syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.update(getattr(dataset, "file_meta", None) or {})
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return bytes(buffer.getvalue())
