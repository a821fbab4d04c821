"""The frames of an object: as they are stored, or as Explicit VR Little Endian holds them.

Decoded colours are RGB, whatever the code stream holds, as in a file that was decompressed. The
decoders are those of `ml.images`, so that grey levels are the same wherever they leave.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImageUnreadable
from ml.images import read_stored_values
from ml.images.encapsulation import read_fragments, split_frames
from ml.images.image_pixel import ImagePixel, read_image_pixel
from records.intake.values import PARSE_ERRORS
from records.outgoing.stored import PIXEL_KEYWORDS, PixelElement, StoredObject

Bytes = NDArray[np.uint8]


def frame_count(stored: StoredObject) -> int:
    """How many frames the header announces, at least one."""
    return int(stored.dataset.get("NumberOfFrames") or 1)


def stored_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Code streams as they are stored, each put together from its fragments.

    Raises the errors of `ml.images`.
    """
    try:
        table, fragments = read_fragments(stored.content, pixels.start)
        count = frame_count(stored)
        streams = list(split_frames(stored.dataset, table, fragments, count, indices))
    except PARSE_ERRORS as error:
        raise ImageUnreadable(detail="its fragments can't be put together") from error
    return [np.frombuffer(stream, np.uint8) for stream in streams]


def native_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Frames for Explicit VR Little Endian: cut out where they lie so, decoded elsewhere.

    Raises the errors of `ml.images`, and EOFError for pixels that end early.
    """
    if is_plain(stored, pixels):
        length = _describe(stored, pixels).native_bytes // frame_count(stored)
        return [_cut(stored, pixels, index, length) for index in indices]
    bits = int(stored.dataset.get("BitsAllocated") or 8)
    return unpacked_frames(stored.content, indices, is_bits=bits == 1)


def unpacked_frames(
    content: bytes, indices: Sequence[int], *, is_bits: bool = False
) -> list[Bytes]:
    """The stored values of frames, however they lie in the file; raises as `native_frames`."""
    values = read_stored_values(content, frames=indices)
    return [_as_bytes(each, is_bits=is_bits) for each in values]


def is_plain(stored: StoredObject, pixels: PixelElement) -> bool:
    """Whether a frame is a run of bytes that only have to be turned round, if anything.

    Raises the errors of `ml.images`.
    """
    bits = int(stored.dataset.get("BitsAllocated") or 8)
    if pixels.is_encapsulated or bits % 8 or not (stored.syntax.is_little_endian or bits > 8):
        return False
    return pixels.length - _describe(stored, pixels).native_bytes in (0, 1)


def _describe(stored: StoredObject, pixels: PixelElement) -> ImagePixel:
    """What a header says of its pixels, as the decoders read it: it may leave out what is usual."""
    return read_image_pixel(stored.dataset, PIXEL_KEYWORDS[pixels.tag], wanted=1)


def _cut(stored: StoredObject, pixels: PixelElement, index: int, length: int) -> Bytes:
    start = pixels.start + index * length
    if start + length > min(pixels.end, len(stored.content)):
        raise EOFError("the stored file ends early")
    frame = np.frombuffer(stored.content, np.uint8, length, start)
    if stored.syntax.is_little_endian:
        return frame
    return (
        frame.view(f"u{int(stored.dataset.get('BitsAllocated') or 8) // 8}")
        .byteswap()
        .view(np.uint8)
    )


def _as_bytes(values: NDArray[Any], *, is_bits: bool) -> Bytes:
    if is_bits:
        return np.packbits(values.ravel(), bitorder="little")
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8)
