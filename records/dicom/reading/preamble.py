"""What a DICOM file wraps its data set in (PS3.10): left out by old systems, new at each door."""

import hashlib
import io
import struct
from typing import Protocol

from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from records.dicom.errors import DicomUnreadable
from records.dicom.reading.values import PARSE_ERRORS, read_text

PREAMBLE = b"\0" * 128 + b"DICM"
META_GROUP = 0x0002
LONG_VRS = frozenset(vr.encode("ascii") for vr in EXPLICIT_VR_LENGTH_32)
"""Those whose elements state their length in four bytes."""
CHUNK_BYTES = 1024 * 1024
NOT_DICOM = "it lacks the preamble of a DICOM file, and isn't a bare data set either"


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def missing_wrapping(content: bytes) -> bytes:
    """Return what has to stand before a bare data set to make it a DICOM file.

    The data set itself is kept byte for byte. Raises DicomUnreadable.
    """
    try:
        (group,) = struct.unpack_from("<H", content)
        if group == META_GROUP:
            return PREAMBLE
        dataset = dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        is_implicit, is_little_endian = dataset.original_encoding
        sop_class = read_text(dataset, "SOPClassUID")
        sop_instance = read_text(dataset, "SOPInstanceUID")
    except PARSE_ERRORS as error:
        raise DicomUnreadable(detail=NOT_DICOM) from error
    if not sop_class or not sop_instance:
        raise DicomUnreadable(detail=NOT_DICOM)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = _syntax(
        is_implicit=bool(is_implicit), is_little_endian=bool(is_little_endian)
    )
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return PREAMBLE + buffer.getvalue()


def have_same_data_set(one: _Stream, other: _Stream) -> bool:
    """Whether two DICOM files differ in nothing but the preamble and the meta information.

    These are written anew by whoever writes the file, a receiver by C-STORE included. That the
    transfer syntaxes are equal is for the caller to know.
    """
    for stream in (one, other):
        start = find_data_set(stream)
        if start is None:
            return False
        stream.seek(start)
    while chunk := one.read(CHUNK_BYTES):
        if chunk != other.read(len(chunk)):
            return False
    return not other.read(1)


def hash_data_set(stream: _Stream) -> str:
    """The SHA-256 of a file's data set, whatever it is wrapped in; "" where none is found."""
    start = find_data_set(stream)
    if start is None:
        return ""
    stream.seek(start)
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def find_data_set(stream: _Stream) -> int | None:
    """Return where a file's data set starts; None where the way there isn't as in PS3.10."""
    position = len(PREAMBLE) - 4
    stream.seek(position)
    if stream.read(4) != PREAMBLE[-4:]:
        return None
    position += 4
    while len(head := stream.read(8)) == 8:
        group, _, vr, length = struct.unpack("<HH2sH", head)
        if group != META_GROUP:
            return position
        position += 8
        if vr in LONG_VRS:
            (length,) = struct.unpack("<I", stream.read(4).ljust(4, b"\0"))
            position += 4
        position += length
        stream.seek(position)
    return None


def is_explicit(stream: _Stream, start: int) -> bool:
    """Whether the data set that starts there is written with VRs, whatever its syntax says."""
    stream.seek(start)
    return states_vr(stream.read(6))


def states_vr(head: bytes) -> bool:
    """Whether an element that begins with these six bytes is written with its VR."""
    vr = head[4:6]
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


def _syntax(*, is_implicit: bool, is_little_endian: bool) -> UID:
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian
