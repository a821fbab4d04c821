"""A stored file opened for sending: its header, and where its pixels lie, without reading them."""

import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from records.errors import FileTooLarge
from records.intake.values import PARSE_ERRORS
from records.models import Instance

CHUNK_BYTES = 256 * 1024
# Longer values than this are left in the file until somebody asks for them.
LONGEST_VALUE = 64 * 1024
UNDEFINED = 0xFFFFFFFF
ITEM_DELIMITERS = (0xFFFEE0DD, 0xFFFEE00D)
META_START = 132
PIXEL_KEYWORDS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixels lie: `start` to `end` is the value, items and all where encapsulated."""

    tag: int
    vr: str
    start: int
    end: int
    after: int
    is_encapsulated: bool

    @property
    def length(self) -> int:
        """Bytes of the value."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One open file: `dataset` is all but the pixels, its long values still in the file."""

    stream: BinaryIO
    dataset: Dataset
    pixels: PixelElement | None

    @property
    def syntax(self) -> UID:
        """How the open file is encoded."""
        return UID(self.dataset.file_meta.TransferSyntaxUID)

    def load(self, tag: BaseTag) -> None:
        """Read one long value of the header into the data set."""
        raw = left_in_file(self.dataset, tag)
        if raw is not None:
            self.stream.seek(raw.value_tell)
            value = self.stream.read(raw.length)
            self.dataset[tag] = raw._replace(value=value)

    def load_all(self) -> None:
        """Read every long value."""
        for tag in list(self.dataset.keys()):
            self.load(tag)

    def read_range(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of the file from `start` to `end`."""
        self.stream.seek(start)
        while start < end:
            data = self.stream.read(min(CHUNK_BYTES, end - start))
            if not data:
                raise EOFError("the stored file ends early")
            start += len(data)
            yield data


def left_in_file(dataset: Dataset, tag: BaseTag) -> RawDataElement | None:
    """Return an element whose value was too long to be read with the header."""
    element = dataset.get_item(tag) if tag in dataset else None
    if not isinstance(element, RawDataElement) or element.value is not None:
        return None
    return element if 0 < element.length < UNDEFINED else None


def vr_of(element: object) -> str:
    """An element's value representation, looked up where the file leaves it out."""
    vr = getattr(element, "VR", None)
    if vr and vr != "UN":
        return str(vr)
    try:
        return str(dictionary_VR(element.tag)).split(" or ")[0]  # type: ignore[attr-defined]
    except KeyError:
        return "UN"


@contextmanager
def opened(instance: Instance) -> Iterator[StoredObject]:
    """Open the file of a stored object, a deflated one unpacked to a temporary file first."""
    with instance.file.open("rb") as file:
        if instance.transfer_syntax_uid != DeflatedExplicitVRLittleEndian:
            yield _read(cast(BinaryIO, file))
            return
        with tempfile.TemporaryFile() as unpacked:
            _inflate(cast(BinaryIO, file), unpacked)
            yield _read(unpacked)


def _read(stream: BinaryIO) -> StoredObject:
    stream.seek(0)
    dataset = dcmread(stream, stop_before_pixels=True, defer_size=LONGEST_VALUE)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    pixels = _find_pixels(stream, syntax)
    if pixels is not None:
        stream.seek(pixels.after)
        dataset.update(_read_rest(stream, syntax))
    return StoredObject(stream, dataset, pixels)


def _read_rest(stream: BinaryIO, syntax: UID) -> Dataset:
    """What follows the pixels: digital signatures and padding, if anything."""
    try:
        return read_dataset(
            stream,
            is_implicit_VR=syntax.is_implicit_VR,
            is_little_endian=syntax.is_little_endian,
            defer_size=LONGEST_VALUE,
        )
    except PARSE_ERRORS:
        return Dataset()


def _find_pixels(stream: BinaryIO, syntax: UID) -> PixelElement | None:
    """Read the head of the element that the stream stands before."""
    order = "<" if syntax.is_little_endian else ">"
    head = stream.read(8)
    if len(head) < 8:
        return None
    group, number, length = struct.unpack(f"{order}HHL", head)
    vr = "OW"
    if not syntax.is_implicit_VR:
        vr = head[4:6].decode("ascii", "replace")
        (length,) = struct.unpack(f"{order}L", stream.read(4))
    tag = group << 16 | number
    if tag not in PIXEL_KEYWORDS:
        return None
    start = stream.tell()
    if length != UNDEFINED:
        return PixelElement(tag, vr, start, start + length, start + length, is_encapsulated=False)
    end = _skip_items(stream)
    return PixelElement(tag, vr, start, end, end + 8, is_encapsulated=True)


def _skip_items(stream: BinaryIO) -> int:
    """Return where the sequence delimiter of an encapsulated value begins."""
    while True:
        at = stream.tell()
        head = stream.read(8)
        if len(head) < 8:
            return at
        group, number, length = struct.unpack("<HHL", head)
        if (group << 16 | number) in ITEM_DELIMITERS:
            return at
        stream.seek(length, 1)


def _inflate(file: BinaryIO, target: BinaryIO) -> None:
    """Write a deflated file as Explicit VR Little Endian, within the limit for a file."""
    head = file.read(META_START + 12)
    (length,) = struct.unpack("<L", head[META_START + 8 :])
    meta = file.read(length)
    plain = _with_syntax(meta)
    group_length = struct.pack("<L", len(plain))
    target.write(head[: META_START + 8] + group_length + plain)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    written = 0
    while data := inflater.unconsumed_tail or file.read(CHUNK_BYTES):
        unpacked = inflater.decompress(data, CHUNK_BYTES)
        written += len(unpacked)
        if written > settings.INTAKE_MAX_FILE_BYTES:
            raise FileTooLarge(limit=filesizeformat(settings.INTAKE_MAX_FILE_BYTES))
        target.write(unpacked)
        if inflater.eof:
            break


def _with_syntax(meta: bytes) -> bytes:
    """Name Explicit VR Little Endian in the bytes of a file meta group."""
    at = meta.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack_from("<H", meta, at + 6)
    value = ExplicitVRLittleEndian.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return meta[: at + 6] + struct.pack("<H", len(value)) + value + meta[at + 8 + length :]
