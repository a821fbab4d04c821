"""One decoded frame with what is needed to show it and to judge whether it is in scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import FrameOutOfRange, ImageTooLarge
from ml.images.profiles import ProfileUse

MAX_FRAME_PIXELS = 64_000_000
MAX_TOTAL_PIXELS = 512_000_000
# 64 million pixels of 32 bits, or of three colours in 8.
MAX_FRAME_BYTES = 4 * MAX_FRAME_PIXELS
# A grey picture saved in colour comes back with channels that differ by rounding alone.
GREY_MAX_DIFFERENCE = 12
GREY_MEAN_DIFFERENCE = 1.0
SAMPLED = 16

Floats = NDArray[np.floating[Any]]
Pixels = Floats | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Voi:
    """How modality values become grey levels when nobody chose a window.

    `function` is LINEAR, LINEAR_EXACT, SIGMOID (with the frame's window), LUT (`lut` holds the
    output scaled to 0..255, `lut_first` the input of its first entry), RANGE (`low`..`high`
    linearly, both ends included) or NONE (the pixels are 8-bit grey levels or colours already).
    """

    function: str
    low: float = 0.0
    high: float = 255.0
    lut: NDArray[np.float32] | None = None
    lut_first: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of one frame: HxW in modality units when grey, HxWx3 RGB uint8 when colour.

    Grey ones are float32, or float64 where the image has more than 16 bits.

    Where there is no value (not-a-number in a map of floats) there is background: black, whatever
    the window. `profile_use` says what became of the image's ICC profile.

    `is_ct` says that a CT made them, `is_hounsfield` that they are Hounsfield units: a CT with a
    rescale. `picture_high` is the highest level where they are the levels of a picture already, and
    `padding` the values, both included, that stand for nothing; None where nothing is such.
    `header` holds the few DICOM fields that decide whether a task applies; it is empty for
    PNG, JPEG, WebP and TIFF. `pixel_spacing` is (between rows, between columns) in mm, and
    `slice_position` where the slice lies along its normal, in mm.
    """

    pixels: Pixels
    is_colour: bool
    photometric_interpretation: str
    rows: int
    columns: int
    voi: Voi
    window_center: float | None = None
    window_width: float | None = None
    pixel_spacing: tuple[float, float] | None = None
    slice_position: float | None = None
    is_ct: bool = False
    is_hounsfield: bool = False
    picture_high: float | None = None
    padding: tuple[float, float] | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    profile_use: ProfileUse = ProfileUse.NONE

    @property
    def is_constant(self) -> bool:
        """Whether every pixel is the same: nothing was exposed, or a decoder gave zeros."""
        return _is_constant(self.pixels[::SAMPLED, ::SAMPLED]) and _is_constant(self.pixels)


def _is_constant(pixels: Pixels) -> bool:
    """Whether all values are one, not-a-number among them."""
    lowest, highest = pixels.min(), pixels.max()
    # Not-a-number spreads to the ends.
    return bool(np.isnan(pixels).all() if np.isnan(lowest) else lowest == highest)


def as_grey(colours: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """One channel of an RGB image whose channels differ by rounding alone, else None.

    Most colour images show it in a few of their pixels, so those are looked at first.
    """
    if _spread(colours[::SAMPLED, ::SAMPLED]).max() > GREY_MAX_DIFFERENCE:
        return None
    spread = _spread(colours)
    if spread.max() > GREY_MAX_DIFFERENCE or spread.mean() > GREY_MEAN_DIFFERENCE:
        return None
    return np.ascontiguousarray(colours[..., 1])


def _spread(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Largest less smallest channel; plane by plane, ten times as fast as along the last axis."""
    red, green, blue = (colours[..., channel] for channel in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return np.subtract(highest, lowest, out=highest)


def check_size(*, rows: int, columns: int, frames: int = 1, pixel_bytes: int = 1) -> None:
    """Refuse a frame, or a set of frames, that is too large to decode (ImageTooLarge)."""
    limit = min(MAX_FRAME_PIXELS, MAX_FRAME_BYTES // max(pixel_bytes, 1))
    if rows * columns > limit:
        raise ImageTooLarge(pixels=rows * columns, limit=limit)
    if rows * columns * frames > MAX_TOTAL_PIXELS:
        raise ImageTooLarge(pixels=rows * columns * frames, limit=MAX_TOTAL_PIXELS)


def select_frames(wanted: Sequence[int] | None, count: int) -> list[int]:
    """Indices to decode: all when none are named; raises FrameOutOfRange."""
    chosen = list(range(count)) if wanted is None else list(wanted)
    for index in chosen:
        if not 0 <= index < count:
            raise FrameOutOfRange(frame=index, count=count)
    return chosen
