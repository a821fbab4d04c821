"""The frames of an object: as they are stored, or as Explicit VR Little Endian holds them.

Decoded colours are RGB, whatever the code stream holds, as in a file that was decompressed. The
decoders are those of `ml.images`, so that grey levels are the same wherever they leave.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.tag import BaseTag

from ml.errors import ImageUnreadable
from ml.images import read_stored_values
from ml.images.encapsulation import read_fragments, split_frames
from ml.images.image_pixel import FLOAT_BITS, ImagePixel, read_image_pixel
from ml.images.numbers import first_whole
from records.dicom.reading.stored import PIXEL_KEYWORDS, PixelElement, StoredObject
from records.dicom.reading.values import PARSE_ERRORS

EXTENDED_OFFSET_TABLE = BaseTag(0x7FE00001)

Bytes = NDArray[np.uint8]


def frame_count(stored: StoredObject) -> int:
    """How many frames the header announces, at least one."""
    return first_whole(stored.dataset.get("NumberOfFrames")) or 1


def stored_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Code streams as they are stored, each put together from its fragments.

    Raises the errors of `ml.images`.
    """
    stored.load(EXTENDED_OFFSET_TABLE)
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
        image = _describe(stored, pixels)
        return [_cut(stored, pixels, index, image) for index in indices]
    bits = _bits_allocated(stored, pixels)
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
    bits = _bits_allocated(stored, pixels)
    if pixels.is_encapsulated or bits % 8 or not (stored.syntax.is_little_endian or bits > 8):
        return False
    return pixels.length - _describe(stored, pixels).native_bytes in (0, 1)


def _bits_allocated(stored: StoredObject, pixels: PixelElement) -> int:
    by_element = FLOAT_BITS.get(PIXEL_KEYWORDS[pixels.tag], 8)
    return first_whole(stored.dataset.get("BitsAllocated")) or by_element


def _describe(stored: StoredObject, pixels: PixelElement) -> ImagePixel:
    """What a header says of its pixels, as the decoders read it: it may leave out what is usual.

    Colours that it calls halved lie whole where there is room for all of them.
    """
    image = read_image_pixel(stored.dataset, PIXEL_KEYWORDS[pixels.tag], wanted=1)
    whole = replace(image, has_full_colours=True)
    return whole if image.is_halved and pixels.length >= whole.native_bytes else image


def _cut(stored: StoredObject, pixels: PixelElement, index: int, image: ImagePixel) -> Bytes:
    length = image.native_bytes // image.frames
    start = pixels.start + index * length
    if start + length > min(pixels.end, len(stored.content)):
        raise EOFError("the stored file ends early")
    frame = np.frombuffer(stored.content, np.uint8, length, start)
    if stored.syntax.is_little_endian:
        return frame
    return frame.reshape(-1, image.bits_allocated // 8)[:, ::-1].ravel()


def _as_bytes(values: NDArray[Any], *, is_bits: bool) -> Bytes:
    if is_bits:
        return np.packbits(values.ravel(), bitorder="little")
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8)
