"""The frames of an open file: as they are stored, or decoded to what Explicit VR would hold.

Decoded colours are RGB, whatever the code stream holds, as in a file that was decompressed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, pack_bits
from pydicom.pixels.utils import as_pixel_options, get_expected_length
from pydicom.uid import UID

from records.dicomweb.stored import PIXEL_KEYWORDS, StoredObject

UNDECODABLE = ("unsupported_transfer_syntax", "pixels_unreadable")
"""The exclusions of objects whose pixels were found undecodable when they came in."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Frames to come, and what their header has to say of them."""

    frames: Iterator[bytes]
    properties: dict[str, Any]
    frame_bytes: int


def frame_count(stored: StoredObject) -> int:
    """How many frames the header announces, at least one."""
    return int(as_pixel_options(stored.dataset)["number_of_frames"])


def decode_frames(stored: StoredObject, indices: Sequence[int] | None = None) -> Decoded:
    """Decode frames, all or those given (from 0), one at a time.

    The first is decoded at once, so that an object that can't be decoded fails here, with
    pydicom's own errors.
    """
    assert stored.pixels is not None  # noqa: S101 - callers ask for the pixels first
    stored.stream.seek(stored.pixels.start)
    arrays = get_decoder(UID(stored.syntax)).iter_array(
        stored.stream,
        indices=list(indices) if indices is not None else None,
        **_options(stored),
    )
    first, properties = next(arrays)
    is_bits = properties["bits_allocated"] == 1
    one = _as_bytes(first, is_bits=is_bits)

    def frames() -> Iterator[bytes]:
        yield one
        for array, _ in arrays:
            yield _as_bytes(array, is_bits=is_bits)

    return Decoded(frames(), properties, len(one))


def stored_frames(stored: StoredObject, indices: Sequence[int]) -> Iterator[bytes]:
    """Yield code streams as they are stored, each put together from its fragments."""
    assert stored.pixels is not None  # noqa: S101
    options = as_pixel_options(stored.dataset)
    for index in indices:
        stored.stream.seek(stored.pixels.start)
        yield get_frame(
            stored.stream,
            index,
            number_of_frames=options["number_of_frames"],
            extended_offsets=options.get("extended_offsets"),
        )


def native_frames(stored: StoredObject, indices: Sequence[int]) -> Iterator[bytes]:
    """Yield frames for Explicit VR Little Endian: cut out where they lie so, decoded elsewhere."""
    if not _is_plain(stored):
        yield from decode_frames(stored, indices).frames
        return
    assert stored.pixels is not None  # noqa: S101
    total = get_expected_length(stored.dataset, unit="bytes")
    length = math.ceil(total / frame_count(stored))
    for index in indices:
        start = stored.pixels.start + index * length
        yield b"".join(stored.read_range(start, start + length))


def _is_plain(stored: StoredObject) -> bool:
    """Tell whether a frame is a run of bytes that Explicit VR Little Endian would hold too."""
    bits = stored.dataset.get("BitsAllocated", 0)
    return not stored.syntax.is_encapsulated and stored.syntax.is_little_endian and bits != 1


def _options(stored: StoredObject) -> dict[str, Any]:
    assert stored.pixels is not None  # noqa: S101
    options = as_pixel_options(stored.dataset)
    options["pixel_keyword"] = PIXEL_KEYWORDS[stored.pixels.tag]
    options["pixel_vr"] = stored.pixels.vr
    return options


def _as_bytes(array: NDArray[Any], *, is_bits: bool) -> bytes:
    if is_bits:
        return bytes(pack_bits(array, pad=False))
    little = array.dtype.newbyteorder("<")
    return np.ascontiguousarray(array, dtype=little).tobytes()
