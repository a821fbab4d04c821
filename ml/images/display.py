"""From modality values to the grey levels a person sees: DICOM PS3.3 C.11.2, then 8 bits."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images.frame import Floats, Frame, Pixels, Voi


def to_display(
    frame: Frame, *, window_center: float | None = None, window_width: float | None = None
) -> NDArray[np.uint8]:
    """Grey levels 0..255 (HxW) or RGB (HxWx3); MONOCHROME1 comes out inverted.

    A window given here replaces the image's own, and is applied with its VOI function.
    """
    if frame.is_colour:
        return frame.pixels.astype(np.uint8, copy=False)
    if window_center is not None and window_width is not None:
        is_named = frame.voi.function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
        voi = Voi(frame.voi.function if is_named else "LINEAR")
        levels = _apply_voi(frame.pixels, voi, window_center, window_width)
    else:
        levels = _apply_voi(frame.pixels, frame.voi, frame.window_center, frame.window_width)
    # Bytes are shown as they are; anything else is an array of its own, to be rounded in place.
    is_shown = levels.dtype == np.uint8
    shown = np.asarray(levels if is_shown else np.rint(levels, out=levels), np.uint8)
    if frame.photometric_interpretation == "MONOCHROME1":
        shown = 255 - shown
    return shown


def _apply_voi(
    pixels: Pixels,
    voi: Voi,
    center: float | None,
    width: float | None,
) -> Floats | NDArray[np.uint8]:
    if voi.function == "NONE" and pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    kind = np.float64 if pixels.dtype == np.float64 else np.float32
    values: Floats = pixels.astype(kind, copy=False)
    if voi.function == "LUT" and voi.lut is not None:
        index = np.clip(np.rint(values - voi.lut_first), 0, len(voi.lut) - 1)
        return np.asarray(voi.lut[index.astype(np.int64)], np.float32)
    if center is None or width is None:
        return _scale(values, voi.low, voi.high)
    if voi.function == "SIGMOID":
        return np.asarray(255.0 / (1.0 + np.exp(-4.0 * (values - center) / width)), np.float32)
    if voi.function == "LINEAR_EXACT":
        return _scale(values, center - width / 2, center + width / 2)
    # C.11.2.1.2.1: the window's `width` values are counted from the centre minus one half.
    half = (width - 1) / 2
    return _scale(values, center - 0.5 - half, center - 0.5 + half)


def _scale(values: Floats, low: float, high: float) -> Floats:
    """Map low..high to 0..255, clipped; a window of one value becomes a step above it."""
    if high <= low:
        return np.asarray(values > low, np.float32) * np.float32(255)
    kind = values.dtype.type
    scaled = values - kind(low)
    scaled *= kind(255.0 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled)


def encode_png(array: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a grey (HxW), RGB (HxWx3) or RGBA (HxWx4) uint8 array."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
