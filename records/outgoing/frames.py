"""The frames of an object: as they are stored, or as Explicit VR Little Endian holds them.

Decoded colours are RGB, whatever the code stream holds, as in a file that was decompressed. The
decoders are those of `ml.images`, so that grey levels are the same wherever they leave.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.utils import as_pixel_options, get_expected_length

from ml.images import read_stored_values
from records.outgoing.stored import PixelElement, StoredObject

Bytes = NDArray[np.uint8]


def frame_count(stored: StoredObject) -> int:
    """How many frames the header announces, at least one."""
    return int(stored.dataset.get("NumberOfFrames") or 1)


def stored_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Code streams as they are stored, each put together from its fragments."""
    options = as_pixel_options(stored.dataset)
    found = []
    for index in indices:
        stream = io.BytesIO(stored.content)
        stream.seek(pixels.start)
        frame = get_frame(
            stream,
            index,
            number_of_frames=options["number_of_frames"],
            extended_offsets=options.get("extended_offsets"),
        )
        found.append(np.frombuffer(frame, np.uint8))
    return found


def native_frames(
    stored: StoredObject, pixels: PixelElement, indices: Sequence[int]
) -> list[Bytes]:
    """Frames for Explicit VR Little Endian: cut out where they lie so, decoded elsewhere.

    Raises the errors of `ml.images`, and EOFError for pixels that end early.
    """
    if is_plain(stored, pixels):
        return [_cut(stored, pixels, index) for index in indices]
    bits = int(stored.dataset.get("BitsAllocated") or 8)
    return unpacked_frames(stored.content, indices, is_bits=bits == 1)


def unpacked_frames(
    content: bytes, indices: Sequence[int], *, is_bits: bool = False
) -> list[Bytes]:
    """The stored values of frames, however they lie in the file; raises as `native_frames`."""
    values = read_stored_values(content, frames=indices)
    return [_as_bytes(each, is_bits=is_bits) for each in values]


def is_plain(stored: StoredObject, pixels: PixelElement) -> bool:
    """Whether a frame is a run of bytes that only have to be turned round, if anything."""
    bits = int(stored.dataset.get("BitsAllocated") or 8)
    if pixels.is_encapsulated or bits % 8:
        return False
    return stored.syntax.is_little_endian or bits > 8


def _cut(stored: StoredObject, pixels: PixelElement, index: int) -> Bytes:
    length = get_expected_length(stored.dataset, unit="bytes") // frame_count(stored)
    start = pixels.start + index * length
    if start + length > min(pixels.end, len(stored.content)):
        raise EOFError("the stored file ends early")
    frame = np.frombuffer(stored.content, np.uint8, length, start)
    if stored.syntax.is_little_endian:
        return frame
    return frame.view(f"u{int(stored.dataset.BitsAllocated) // 8}").byteswap().view(np.uint8)


def _as_bytes(values: NDArray[Any], *, is_bits: bool) -> Bytes:
    if is_bits:
        return np.packbits(values.ravel(), bitorder="little")
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8)
