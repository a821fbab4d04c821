"""A stored file taken apart: its header, and where its pixels lie, without copying them."""

import io
import struct
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian

from ml.images.absence import DEFLATED_SYNTAXES
from ml.inflating import inflate
from records.dicom.reading.values import PARSE_ERRORS, read_text

# Longer values than this are left in the file until somebody asks for them.
LONGEST_VALUE = 64 * 1024
UNDEFINED = 0xFFFFFFFF
LARGEST_INFLATED = UNDEFINED
"""What a length can say; the child's share of memory ends before."""
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
    """One file: `dataset` is all but the pixels, its long values still in `content`.

    `content` is the file as it is stored, or, of a deflated one, as it was before.
    """

    content: bytes
    dataset: Dataset
    pixels: PixelElement | None
    is_inflated: bool

    @property
    def is_implicit_vr(self) -> bool:
        """How the elements of `content` are written, which its syntax may not say."""
        return bool(self.dataset.original_encoding[0])

    @property
    def syntax(self) -> UID:
        """How `content` is encoded."""
        return _read_syntax(self.dataset.file_meta)

    def load(self, tag: BaseTag) -> None:
        """Read one long value of the header into the data set."""
        raw = left_in_file(self.dataset, tag)
        if raw is not None:
            value = self.content[raw.value_tell : raw.value_tell + raw.length]
            self.dataset[tag] = raw._replace(value=value)

    def load_all(self) -> None:
        """Read every long value."""
        for tag in list(self.dataset.keys()):
            self.load(tag)


def left_in_file(dataset: Dataset, tag: BaseTag) -> RawDataElement | None:
    """Return an element whose value was too long to be read with the header."""
    element = item_of(dataset, tag)
    if not isinstance(element, RawDataElement) or element.value is not None:
        return None
    return element if 0 < element.length < UNDEFINED else None


def item_of(dataset: Dataset, tag: BaseTag) -> object:
    """An element as it was read; None where there is none, or its value can't be had."""
    try:
        return dataset.get_item(tag) if tag in dataset else None
    except PARSE_ERRORS:
        return None


def vr_of(element: Any) -> str:
    """An element's value representation, looked up where the file leaves it out; UN for none."""
    vr = getattr(element, "VR", None)
    if vr and vr != "UN":
        return str(vr)
    try:
        return str(dictionary_VR(element.tag)).split(" or ")[0]
    except (AttributeError, KeyError):
        return "UN"


def read_stored(content: bytes) -> StoredObject:
    """Take a DICOM file apart. Raises what pydicom does for one that is broken."""
    syntax = _syntax_of(content)
    is_deflated = syntax in DEFLATED_SYNTAXES
    if is_deflated:
        content = _inflate(content)
    stream = io.BytesIO(content)
    dataset = dcmread(stream, stop_before_pixels=True, defer_size=LONGEST_VALUE)
    is_implicit, is_little_endian = _encoding_of(dataset)
    dataset.set_original_encoding(is_implicit, is_little_endian, dataset._character_set)
    pixels = _find_pixels(stream, is_implicit=is_implicit, is_little_endian=is_little_endian)
    if pixels is not None:
        stream.seek(pixels.after)
        dataset.update(
            _read_rest(stream, is_implicit=is_implicit, is_little_endian=is_little_endian)
        )
    return StoredObject(content, dataset, pixels, is_inflated=is_deflated)


def _syntax_of(content: bytes) -> UID:
    """What the meta information says, read alone: a deflated data set is unpacked with a limit."""
    stream = io.BytesIO(content)
    read_preamble(stream, force=False)
    # What pydicom does for a path; it offers nothing public for a stream.
    return _read_syntax(_read_file_meta_info(stream))


def _read_syntax(meta: FileMetaDataset) -> UID:
    """As intake reads it: a damaged one may come in several values, and names nothing known."""
    if syntax := UID(read_text(meta, "TransferSyntaxUID")):
        return syntax
    raise InvalidDicomError("it has no transfer syntax")


def _encoding_of(dataset: Dataset) -> tuple[bool, bool]:
    """How the elements are written: some files leave out the VRs, whatever their syntax says."""
    for element in dataset.values():
        if isinstance(element, RawDataElement):
            return element.is_implicit_VR, element.is_little_endian
    is_implicit, is_little_endian = dataset.original_encoding
    return bool(is_implicit), bool(is_little_endian)


def _read_rest(stream: io.BytesIO, *, is_implicit: bool, is_little_endian: bool) -> Dataset:
    """What follows the pixels: digital signatures and padding, if anything."""
    try:
        return read_dataset(stream, is_implicit, is_little_endian, defer_size=LONGEST_VALUE)
    except PARSE_ERRORS:
        return Dataset()


def _find_pixels(
    stream: io.BytesIO, *, is_implicit: bool, is_little_endian: bool
) -> PixelElement | None:
    """Read the head of the element that the stream stands before."""
    order = "<" if is_little_endian else ">"
    head = stream.read(8)
    if len(head) < 8:
        return None
    group, number, length = struct.unpack(f"{order}HHL", head)
    vr = "OW"
    if not is_implicit:
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


def _skip_items(stream: io.BytesIO) -> int:
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


def _inflate(content: bytes) -> bytes:
    """A deflated file as Explicit VR Little Endian."""
    (length,) = struct.unpack_from("<L", content, META_START + 8)
    start = META_START + 12 + length
    meta = _with_syntax(content[META_START + 12 : start])
    head = content[: META_START + 8] + struct.pack("<L", len(meta)) + meta
    return head + inflate(memoryview(content)[start:], limit=LARGEST_INFLATED)


def _with_syntax(meta: bytes) -> bytes:
    """Name Explicit VR Little Endian in the bytes of a file meta group."""
    at = meta.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack_from("<H", meta, at + 6)
    value = ExplicitVRLittleEndian.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return meta[: at + 6] + struct.pack("<H", len(value)) + value + meta[at + 8 + length :]
