"""From modality values to the grey levels a person sees: DICOM PS3.3 C.11.2, then 8 bits."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images.frame import Floats, Frame, Pixels, Voi

WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
BLOCK_PIXELS = 65536


def to_display(
    frame: Frame, *, window_center: float | None = None, window_width: float | None = None
) -> NDArray[np.uint8]:
    """Grey levels 0..255 (HxW) or RGB (HxWx3); MONOCHROME1 comes out inverted.

    A window given here replaces the image's own, and is applied with its VOI function.
    """
    if frame.is_colour:
        return frame.pixels.astype(np.uint8, copy=False)
    center, width = window_center, window_width
    voi = frame.voi
    if center is None or width is None:
        center, width = frame.window_center, frame.window_width
    elif voi.function not in WINDOW_FUNCTIONS:
        voi = Voi("LINEAR")
    is_inverted = frame.photometric_interpretation == "MONOCHROME1"
    if voi.function == "NONE":
        shown = frame.pixels.astype(np.uint8, copy=False)
        return 255 - shown if is_inverted else shown
    shown = np.empty(frame.pixels.shape, np.uint8)
    for rows in _slice_rows(shown):
        levels = _apply_voi(frame.pixels[rows], voi, center, width, is_inverted=is_inverted)
        # The levels are an array of their own, so they may be changed in place.
        if np.isnan(frame.pixels[rows].min()):
            levels[np.isnan(frame.pixels[rows])] = 0
        shown[rows] = np.rint(levels, out=levels)
    return shown


def _slice_rows(shown: NDArray[np.uint8]) -> Iterator[slice]:
    """So many rows at a time that the processor's cache holds them through all the arithmetic."""
    rows, columns = shown.shape
    step = max(1, BLOCK_PIXELS // max(columns, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def _apply_voi(
    pixels: Pixels, voi: Voi, center: float | None, width: float | None, *, is_inverted: bool
) -> Floats:
    """Levels 0..255, not yet rounded.

    Inverted before rounding, and by the same arithmetic: a MONOCHROME1 image and its MONOCHROME2
    twin give the same bytes.
    """
    kind = np.float64 if pixels.dtype == np.float64 else np.float32
    values: Floats = pixels.astype(kind, copy=False)
    if voi.function == "LUT" and voi.lut is not None:
        index = np.clip(np.rint(np.nan_to_num(values) - voi.lut_first), 0, len(voi.lut) - 1)
        lut = 255 - voi.lut if is_inverted else voi.lut
        return np.asarray(lut[index.astype(np.int64)], np.float32)
    if center is None or width is None:
        return _scale(values, voi.low, voi.high, is_inverted=is_inverted)
    if voi.function == "SIGMOID":
        slope = (4.0 if is_inverted else -4.0) / width
        return np.asarray(255.0 / (1.0 + np.exp(slope * (values - center))), np.float32)
    # C.11.2.1.2.1: the window's `width` values are counted from the centre minus one half.
    if voi.function == "LINEAR":
        center, width = center - 0.5, width - 1
    return _scale(values, center - width / 2, center + width / 2, is_inverted=is_inverted)


def _scale(values: Floats, low: float, high: float, *, is_inverted: bool) -> Floats:
    """Map low..high to 0..255, clipped; a window of one value becomes a step above it."""
    if high <= low:
        is_white = values <= low if is_inverted else values > low
        return np.asarray(is_white, np.float32) * np.float32(255)
    kind = values.dtype.type
    scaled = kind(high) - values if is_inverted else values - kind(low)
    scaled *= kind(255.0 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled)


def encode_png(array: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a grey (HxW), RGB (HxWx3) or RGBA (HxWx4) uint8 array."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
