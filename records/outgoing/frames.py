"""The frames of an object: as they are stored, or as Explicit VR Little Endian holds them.

Decoded colours are RGB, whatever the code stream holds, as in a file that was decompressed. The
decoders are those of `ml.images`, so that grey levels are the same wherever they leave.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.tag import BaseTag

from ml.images import read_stored_values
from ml.images.encapsulation import read_fragments, split_frames
from ml.images.image_pixel import FLOAT_BITS, HALVED_COLOUR
from ml.images.numbers import first_whole
from records.outgoing.stored import PIXEL_KEYWORDS, PixelElement, StoredObject

EXTENDED_OFFSET_TABLE = BaseTag(0x7FE00001)

Bytes = NDArray[np.uint8]


def frame_count(stored: StoredObject) -> int:
    """How many frames the header announces, at least one."""
    return first_whole(stored.dataset.get("NumberOfFrames")) or 1


def stored_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Code streams as they are stored, each put together from its fragments.

    Raises ImageTruncated and ImageUnreadable.
    """
    stored.load(EXTENDED_OFFSET_TABLE)
    table, fragments = read_fragments(stored.content, pixels.start)
    streams = split_frames(stored.dataset, table, fragments, frame_count(stored), indices)
    return [np.frombuffer(stream, np.uint8) for stream in streams]


def native_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Frames for Explicit VR Little Endian: cut out where they lie so, decoded elsewhere.

    Raises the errors of `ml.images`, and EOFError for pixels that end early.
    """
    if is_plain(stored, pixels):
        return [_cut(stored, pixels, index) for index in indices]
    bits = _bits_allocated(stored, pixels)
    values = read_stored_values(stored.content, frames=indices)
    return [_as_bytes(each, is_bits=bits == 1) for each in values]


def is_plain(stored: StoredObject, pixels: PixelElement) -> bool:
    """Whether a frame is a run of bytes that only have to be turned round, if anything."""
    bits = _bits_allocated(stored, pixels)
    if pixels.is_encapsulated or bits % 8:
        return False
    return stored.syntax.is_little_endian or bits > 8


def _bits_allocated(stored: StoredObject, pixels: PixelElement) -> int:
    by_element = FLOAT_BITS.get(PIXEL_KEYWORDS[pixels.tag], 8)
    return first_whole(stored.dataset.get("BitsAllocated")) or by_element


def _frame_bytes(stored: StoredObject, pixels: PixelElement) -> int:
    """Bytes of a frame that isn't compressed; halved colours only where there is no more."""
    dataset = stored.dataset
    samples = first_whole(dataset.get("SamplesPerPixel")) or 1
    cells = int(dataset.Rows) * int(dataset.Columns) * samples
    whole = cells * _bits_allocated(stored, pixels) // 8
    is_named_halved = str(dataset.get("PhotometricInterpretation")) in HALVED_COLOUR
    is_halved = is_named_halved and pixels.length < whole * frame_count(stored)
    return whole * 2 // 3 if is_halved else whole


def _cut(stored: StoredObject, pixels: PixelElement, index: int) -> Bytes:
    length = _frame_bytes(stored, pixels)
    start = pixels.start + index * length
    if start + length > min(pixels.end, len(stored.content)):
        raise EOFError("the stored file ends early")
    frame = np.frombuffer(stored.content, np.uint8, length, start)
    if stored.syntax.is_little_endian:
        return frame
    return frame.view(f"u{_bits_allocated(stored, pixels) // 8}").byteswap().view(np.uint8)


def _as_bytes(values: NDArray[Any], *, is_bits: bool) -> Bytes:
    if is_bits:
        return np.packbits(values.ravel(), bitorder="little")
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8)
