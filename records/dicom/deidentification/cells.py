"""Cells of pixels that few programs read, made as wide as those that all do, before an export."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

WIDENED = {1: 8, 12: 16, 24: 32}
"""Bits Allocated as they are, and as they become."""


def widen_cells(image: Dataset) -> None:
    """Give values of 1, 12 and 24 bits cells of 8, 16 and 32; they stay the same values."""
    allocated = int(image.get("BitsAllocated") or 0)
    if "PixelData" not in image or allocated not in WIDENED:
        return
    is_signed = int(image.get("PixelRepresentation") or 0) == 1
    values = UNPACK[allocated](np.frombuffer(image.PixelData, np.uint8))
    if is_signed and allocated > 1:
        spare = 8 * values.dtype.itemsize - allocated
        values = (values << spare).view(values.dtype.str.replace("u", "i")) >> spare
    image.BitsAllocated = WIDENED[allocated]
    content = values.tobytes()
    image.add_new(
        "PixelData", "OB" if allocated == 1 else "OW", content + b"\0" * (len(content) % 2)
    )


def _unpack_bits(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.unpackbits(packed, bitorder="little")


def _unpack_twelve(packed: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Two cells in three bytes, lowest bits first (PS3.5 annex D)."""
    whole = packed[: len(packed) // 3 * 3]
    rest = np.zeros(3 if len(packed) % 3 else 0, np.uint8)
    rest[: len(packed) - len(whole)] = packed[len(whole) :]
    low, middle, high = np.concatenate([whole, rest]).reshape(-1, 3).astype("<u2").T
    return np.stack([low | (middle & 0x0F) << 8, middle >> 4 | high << 4], axis=1).ravel()


def _unpack_three_bytes(packed: NDArray[np.uint8]) -> NDArray[np.uint32]:
    cells = packed[: len(packed) // 3 * 3].reshape(-1, 3)
    wide = np.zeros((len(cells), 4), np.uint8)
    wide[:, :3] = cells
    return wide.reshape(-1).view("<u4")


UNPACK: dict[int, Callable[[NDArray[np.uint8]], NDArray[Any]]] = {
    1: _unpack_bits,
    12: _unpack_twelve,
    24: _unpack_three_bytes,
}
