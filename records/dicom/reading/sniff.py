"""What a file is, by its content alone."""

import re
from enum import StrEnum
from pathlib import Path

from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from records.dicom.errors import EmptyFile, UnknownFormat

HEAD_BYTES = 132
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
TIFF_SIGNATURES = (b"II*\x00", b"MM\x00*")
# A local file header, an archive without entries, and the mark of a split archive.
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
LOSSY_SYNTAXES = {0xC0: JPEGBaseline8Bit, 0xC1: JPEGExtended12Bit}
LOSSLESS_FRAME, START_OF_SCAN = 0xC3, 0xDA
# How a data set without the wrapping of a file begins: an early element of group 2 or 8.
BARE = re.compile(rb"\x02\x00[\x00-\x03]\x00|\x08\x00[\x00-\x18]\x00|\x00\x08\x00[\x00-\x18]")


class Kind(StrEnum):
    """The formats that are accepted."""

    DICOM = "dicom"
    BARE_DICOM = "bare"
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    TIFF = "tiff"
    ZIP = "zip"


PICTURES = frozenset({Kind.PNG, Kind.JPEG, Kind.WEBP, Kind.TIFF})
"""The kinds that say nothing of whom they show, and become DICOM."""


def sniff(path: Path) -> Kind:
    """Return the format of a file; raise EmptyFile or UnknownFormat.

    The mark of a DICOM file wins over any other signature: its preamble may hold the
    beginning of another format on purpose.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise EmptyFile
    if head[128:132] == b"DICM":
        return Kind.DICOM
    if head.startswith(PNG_SIGNATURE):
        return Kind.PNG
    if head.startswith(JPEG_SIGNATURE):
        return Kind.JPEG
    if head.startswith(TIFF_SIGNATURES):
        return Kind.TIFF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind.WEBP
    if head.startswith(ZIP_SIGNATURES):
        return Kind.ZIP
    if BARE.match(head):
        return Kind.BARE_DICOM
    raise UnknownFormat


def jpeg_syntax(head: bytes) -> str:
    """The transfer syntax that a JPEG's own first bytes show; "" where they show none of DICOM's.

    A lossless one has a syntax for its first predictor, and one for all (ITU-T T.81 H.1).
    """
    position, is_lossless = 2, False
    while head[position : position + 1] == b"\xff" and position + 5 <= len(head):
        marker = head[position + 1]
        if marker in LOSSY_SYNTAXES:
            return str(LOSSY_SYNTAXES[marker])
        if marker == START_OF_SCAN and is_lossless:
            at = position + 5 + 2 * head[position + 4]
            return str(JPEGLosslessSV1 if head[at : at + 1] == b"\x01" else JPEGLossless)
        is_lossless = is_lossless or marker == LOSSLESS_FRAME
        position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return ""
