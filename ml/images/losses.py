"""Whether a picture was compressed with loss, which stays known for ever (PS3.3 C.7.6.1.1.5)."""

from typing import BinaryIO

from PIL import Image

JPEG_LOSS = "ISO_10918_1"
# No defined term of DICOM's is for WebP; RFC 9649 is its standard.
WEBP_LOSS = "RFC_9649"
TIFF_COMPRESSION = 259
TIFF_JPEG = (6, 7)
CHUNK_HEAD = 8


def find_loss(image: Image.Image, stream: BinaryIO) -> str:
    """DICOM's term for the way, or nothing where no loss is known of."""
    if image.format in ("JPEG", "MPO"):
        return JPEG_LOSS
    if image.format == "TIFF":
        packed = image.tag_v2.get(TIFF_COMPRESSION)  # type: ignore[attr-defined]  # of a TIFF
        return JPEG_LOSS if packed in TIFF_JPEG else ""
    return WEBP_LOSS if image.format == "WEBP" and _has_lossy_chunk(stream) else ""


def _has_lossy_chunk(stream: BinaryIO) -> bool:
    """Whether a WebP file's picture is of VP8, not of VP8L: chunk by chunk to the picture."""
    stream.seek(12)
    while len(head := stream.read(CHUNK_HEAD)) == CHUNK_HEAD:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8 "
        size = int.from_bytes(head[4:], "little")
        stream.seek(size + size % 2, 1)
    return False
