"""Pixel data that is not compressed: bits, bytes and words as stored values (PS3.5 8)."""

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImageUnreadable
from ml.images.image_pixel import ImagePixel

Stored = NDArray[np.generic]


def read_native(
    data: memoryview, index: int, image: ImagePixel, *, is_little_endian: bool, is_swapped: bool
) -> Stored:
    """Frame `index` as HxW or HxWx3 stored values; `data` holds at least `image.native_bytes`.

    `is_swapped` is for cells of up to 8 bits in big endian words, where bytes change places.
    """
    if image.bits_allocated == 1:
        values = _unpack_bits(data, index, image, is_swapped=is_swapped)
    elif image.bits_allocated == 12:
        values = _unpack_twelve(data, index, image)
    elif image.bits_allocated == 24:
        values = _unpack_three_bytes(data, index, image, is_little_endian=is_little_endian)
    else:
        values = _read_cells(
            data, index, image, is_little_endian=is_little_endian, is_swapped=is_swapped
        )
    return shape_samples(values, image)


def shape_samples(values: Stored, image: ImagePixel) -> Stored:
    """HxW or HxWx3 of a frame's values, whether its colours lie by pixel, by plane or halved."""
    size = (image.rows, image.columns)
    if image.samples == 1:
        return values.reshape(size)
    if image.is_halved:
        return _double_colour(values).reshape(*size, 3)
    if image.is_planar:
        return values.reshape(3, *size).transpose(1, 2, 0)
    return values.reshape(*size, 3)


def clear_unused_bits(values: Stored, image: ImagePixel) -> Stored:
    """Stored values without what lies above and below them: overlays, or anything at all.

    PS3.5 8.1.1: the bits outside of those from High Bit down to Bits Stored mean nothing.
    """
    bits = 8 * values.dtype.itemsize
    above, below = bits - 1 - image.high_bit, image.high_bit + 1 - image.bits_stored
    if image.is_float or bits == image.bits_stored or above < 0:
        return values
    if not below and _is_clean(values, image):
        return values
    return np.right_shift(np.left_shift(values, above), above + below)


def _is_clean(values: Stored, image: ImagePixel) -> bool:
    if image.is_signed:
        half = 1 << (image.bits_stored - 1)
        return bool(-half <= values.min() and values.max() < half)
    return bool(values.max() < 1 << image.bits_stored)


def _read_cells(
    data: memoryview, index: int, image: ImagePixel, *, is_little_endian: bool, is_swapped: bool
) -> Stored:
    kind = "f" if image.is_float else "i" if image.is_signed else "u"
    cell = np.dtype(f"{'<' if is_little_endian else '>'}{kind}{image.bits_allocated // 8}")
    count, start = image.frame_samples, index * image.frame_samples
    if is_swapped:
        even = start - start % 2
        words = np.frombuffer(data, ">u2", (count + start - even + 1) // 2, even)
        return words.astype("<u2").view(cell)[start - even :][:count]
    return np.frombuffer(data, cell, count, start * cell.itemsize)


def _unpack_bits(data: memoryview, index: int, image: ImagePixel, *, is_swapped: bool) -> Stored:
    """Single bits, lowest first; a frame begins at the bit after the one before, in any byte."""
    first = index * image.frame_samples
    start, end = first // 16 * 2, (first + image.frame_samples + 15) // 16 * 2
    packed = np.frombuffer(bytes(data[start:end]).ljust(end - start, b"\0"), np.uint8)
    if is_swapped:
        packed = packed.reshape(-1, 2)[:, ::-1].ravel()
    bits = np.unpackbits(packed, bitorder="little")
    return bits[first - 8 * start :][: image.frame_samples]


def _unpack_twelve(data: memoryview, index: int, image: ImagePixel) -> Stored:
    """Two cells in three bytes, lowest bits first (PS3.5 annex D, ACR-NEMA's packing)."""
    first, count = index * image.frame_samples, image.frame_samples
    pair, odd = first // 2, first % 2
    pairs = (count + odd + 1) // 2
    packed = bytes(data[3 * pair : 3 * (pair + pairs)]).ljust(3 * pairs, b"\0")
    low, middle, high = np.frombuffer(packed, np.uint8).reshape(-1, 3).astype(np.uint16).T
    cells = np.stack([low | (middle & 0x0F) << 8, middle >> 4 | high << 4], axis=1).ravel()
    values = cells[odd:][:count]
    if not image.is_signed:
        return values
    return (values << 4).astype(np.int16) >> 4


def _unpack_three_bytes(
    data: memoryview, index: int, image: ImagePixel, *, is_little_endian: bool
) -> Stored:
    """Cells of 24 bits, one behind the other. How words would swap them is written nowhere."""
    if not is_little_endian:
        raise ImageUnreadable(detail="its cells of 24 bits are in big endian order")
    count = image.frame_samples
    cells = np.frombuffer(data, np.uint8, 3 * count, 3 * count * index).reshape(-1, 3)
    wide = np.zeros((count, 4), np.uint8)
    # At the upper end of a word, from where the sign comes down with the bits.
    wide[:, 1:] = cells
    return wide.reshape(-1).view("<i4" if image.is_signed else "<u4") >> 8


def _double_colour(values: Stored) -> Stored:
    """Y Y Cb Cr of two neighbours as Y Cb Cr Y Cb Cr."""
    quads = values.reshape(-1, 4)
    return quads[:, [0, 2, 3, 1, 2, 3]].reshape(-1)
