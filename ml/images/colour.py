"""Colour frames as 8-bit RGB: YBR, palettes plain and segmented (PS3.3 C.7.6.3.1, C.7.9.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import convert_color_space

MAX_ENTRIES = 0x10000
CHANNELS = ("Red", "Green", "Blue")
DISCRETE, LINEAR, INDIRECT = 0, 1, 2

# C.7.6.3.1.2: luminance from 16 to 235 and colour differences from 16 to 240.
PARTIAL_TO_RGB = np.array(
    [[1.1644, 1.1644, 1.1644], [0, -0.3917, 2.0173], [1.5960, -0.8129, 0]], np.float32
)
PARTIAL_OFFSETS = np.array([16, 128, 128], np.float32)


def finish_colours(
    colours: NDArray[Any], bits: int, photometric: str, *, keeps_depth: bool
) -> NDArray[Any]:
    """RGB bytes of HxWx3 samples of so many bits.

    With `keeps_depth`, RGB stays as it is stored; other colour spaces are defined for bytes alone.
    """
    if keeps_depth and photometric == "RGB":
        return np.ascontiguousarray(colours)
    return convert_to_rgb(reduce_to_bytes(colours, bits), photometric)


def reduce_to_bytes(colours: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """The highest eight of each sample's bits; fewer of them cover the same range."""
    if bits == 8 and colours.dtype == np.uint8:
        return np.ascontiguousarray(colours)
    if bits < 8:
        return (colours.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    return np.ascontiguousarray((colours >> (bits - 8)).astype(np.uint8))


def convert_to_rgb(colours: NDArray[np.uint8], photometric: str) -> NDArray[np.uint8]:
    """RGB of HxWx3 bytes; raises ValueError for a space that only JPEG 2000 streams hold."""
    if photometric == "RGB":
        return colours
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return np.asarray(convert_color_space(colours, "YBR_FULL", "RGB"), np.uint8)
    if photometric == "YBR_PARTIAL_422":
        levels = (colours.astype(np.float32) - PARTIAL_OFFSETS) @ PARTIAL_TO_RGB
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    raise ValueError(f"{photometric} outside of a JPEG 2000 stream")


def apply_palette(
    stored: NDArray[Any], dataset: Dataset, *, is_little_endian: bool
) -> NDArray[np.uint8]:
    """RGB of stored values by the image's own palette; values outside of it take its first or last.

    Raises ValueError, LookupError and AttributeError for a palette that is broken.
    """
    order = "<" if is_little_endian else ">"
    tables = [_read_table(dataset, channel, order) for channel in CHANNELS]
    first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
    if first >= 0x8000 and stored.dtype.kind == "i":
        first -= 0x10000
    index = stored.astype(np.int64) - first
    return np.stack([table[np.clip(index, 0, len(table) - 1)] for table in tables], axis=-1)


def _read_table(dataset: Dataset, channel: str, order: str) -> NDArray[np.uint8]:
    descriptor = dataset[f"{channel}PaletteColorLookupTableDescriptor"].value
    count, _, bits = (int(value) for value in descriptor)
    count = count or MAX_ENTRIES
    data = dataset.get(f"{channel}PaletteColorLookupTableData")
    if data is None:
        segments = dataset[f"Segmented{channel}PaletteColorLookupTableData"].value
        kind = np.dtype(np.uint8 if bits <= 8 else f"{order}u2")
        whole = segments[: len(segments) // kind.itemsize * kind.itemsize]
        entries = _expand_segments(np.frombuffer(whole, kind), count)
    else:
        # Eight-bit entries lie two to a word, or each in a word of its own.
        kind = np.dtype(np.uint8 if bits <= 8 and len(data) < 2 * count else f"{order}u2")
        entries = np.frombuffer(data[: count * kind.itemsize], kind)
    if not entries.size:
        raise ValueError("an empty palette")
    # Some writers declare 16 bits and fill in 8.
    is_wide = bits > 8 and int(entries.max()) > 0xFF
    return (entries >> 8 if is_wide else entries).astype(np.uint8)


def _expand_segments(data: NDArray[Any], count: int) -> NDArray[np.uint16]:
    """The entries that segments stand for, at most `count`: so no palette can grow without end."""
    entries: list[int] = []
    position = 0
    while position + 1 < len(data) and len(entries) < count:
        if int(data[position]) == INDIRECT:
            length = int(data[position + 1])
            words = data[position + 2 : position + (6 if data.itemsize == 1 else 4)]
            start = (
                int.from_bytes(words.tobytes(), "little")
                if data.itemsize == 1
                else (int(words[0]) | int(words[1]) << 16)
            )
            position += 2 + len(words)
            for _ in range(length):
                start = _expand_segment(data, start, entries, count)
        else:
            position = _expand_segment(data, position, entries, count)
    return np.array(entries[:count], np.uint16)


def _expand_segment(data: NDArray[Any], position: int, entries: list[int], count: int) -> int:
    """Append what the discrete or linear segment at `position` stands for; the next one's place."""
    kind, length = int(data[position]), int(data[position + 1])
    if kind == DISCRETE:
        entries.extend(data[position + 2 : position + 2 + length].tolist())
        return position + 2 + length
    if kind != LINEAR or not entries:
        raise ValueError(f"a palette segment of kind {kind}")
    if len(entries) < count:
        start, end = entries[-1], int(data[position + 2])
        rises = (end - start) * np.arange(1, length + 1) / max(length, 1)
        entries.extend(np.rint(start + rises).astype(int).tolist())
    return position + 3
