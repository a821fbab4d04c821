"""Stored images as pixels: one way of decoding for the viewer and for the networks."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import FrameOutOfRange, MLError
from ml.images import Frame, Voi, encode_png, to_display
from ml.images.display import WINDOW_FUNCTIONS
from records.errors import NoSuchFrame, NothingToShow
from records.files.open import open_verified
from records.files.sandboxed import sandbox
from records.models import Instance

CACHE_BYTES = 48 * 1024 * 1024
"""Decoded frames that one process keeps: somebody who windows an image asks for it again."""

VALUES_BYTES = 64 * 1024 * 1024
"""Most that a browser is handed to window by itself; a mammogram of 20 million pixels has 40 MB."""

FRAMES_AT_A_TIME = 16
PIXELS_AT_A_TIME = 16_000_000


class FrameCache:
    """The frames used last, bounded by their size, shared by a process's threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._frames: OrderedDict[tuple[str, int], Frame] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, int]) -> Frame | None:
        """Return a frame that is kept, and note that it was used."""
        with self._lock:
            frame = self._frames.get(key)
            if frame is not None:
                self._frames.move_to_end(key)
            return frame

    def put(self, key: tuple[str, int], frame: Frame) -> None:
        """Keep a frame, at the cost of those used longest ago."""
        with self._lock:
            if key in self._frames or frame.pixels.nbytes > self._limit // 4:
                return
            self._frames[key] = frame
            self._size += frame.pixels.nbytes
            while self._size > self._limit:
                _, oldest = self._frames.popitem(last=False)
                self._size -= oldest.pixels.nbytes


_cache = FrameCache(CACHE_BYTES)


def read_frame(instance: Instance, frame: int = 1) -> Frame:
    """Decode one frame of a stored image, counted from 1.

    Raises the errors of `ml.images`, DecodingStopped, StoredFileMissing and StoredFileDamaged.
    """
    key = (instance.sha256, frame)
    found = _cache.get(key)
    if found is None:
        with open_verified(instance) as stream:
            found = sandbox.decode_frames(stream, frames=[frame - 1])[0]
        _cache.put(key, found)
    return found


def iter_frames(instance: Instance) -> Iterator[Frame]:
    """Decode the frames of a stored image in order, a few at a time; nothing is kept.

    Raises the errors of `ml.images`, DecodingStopped, StoredFileMissing and StoredFileDamaged.
    """
    with open_verified(instance) as stream:
        for frames in in_batches(instance, range(instance.number_of_frames)):
            yield from sandbox.decode_frames(stream, frames=frames)


def in_batches(instance: Instance, frames: Sequence[int]) -> Iterator[list[int]]:
    """Divide frames into as many as are decoded together, by their size."""
    pixels = (instance.rows or 1) * (instance.columns or 1)
    at_a_time = max(min(FRAMES_AT_A_TIME, PIXELS_AT_A_TIME // pixels), 1)
    for first in range(0, len(frames), at_a_time):
        yield list(frames[first : first + at_a_time])


def draw_frame(
    instance: Instance,
    frame: int = 1,
    window: tuple[float, float] | None = None,
    *,
    window_function: str | None = None,
) -> NDArray[np.uint8]:
    """Grey levels or RGB of one frame, counted from 1.

    The window's (center, width) and VOI function are those given, or else the image's own.
    Raises NothingToShow, NoSuchFrame, StoredFileMissing and StoredFileDamaged.
    """
    center, width = window or (None, None)
    decoded = _read_to_show(instance, frame)
    if window_function is not None:
        decoded = replace(decoded, voi=Voi(window_function))
    return to_display(decoded, window_center=center, window_width=width)


def _read_to_show(instance: Instance, frame: int) -> Frame:
    try:
        return read_frame(instance, frame)
    except FrameOutOfRange as error:
        raise NoSuchFrame(frame=frame, count=instance.number_of_frames) from error
    except MLError as error:
        reason = instance.exclusion_reason or "its pixels can't be decoded."
        raise NothingToShow(detail=reason) from error


@dataclass(frozen=True)
class FrameValues:
    """A grey frame's modality values, row by row and little-endian, for a browser to window.

    `kind` is int16, uint16, float32 or float64; `function` the VOI function that a chosen window
    is applied with; `is_inverted` that small values are bright (MONOCHROME1).
    """

    content: bytes
    kind: str
    rows: int
    columns: int
    function: str
    is_inverted: bool


def read_values(instance: Instance, frame: int = 1) -> FrameValues:
    """The values of which `draw_frame` makes grey levels.

    Raises NothingToShow (also for colours, and beyond VALUES_BYTES), NoSuchFrame,
    StoredFileMissing and StoredFileDamaged.
    """
    decoded = _read_to_show(instance, frame)
    if decoded.is_colour:
        raise NothingToShow(detail="it is in colour, so that no window applies to it.")
    kind = _kind_of(decoded.pixels)
    values = decoded.pixels.astype(kind.newbyteorder("<"), copy=False)
    if values.nbytes > VALUES_BYTES:
        raise NothingToShow(detail="it is too large for a preview of its window.")
    function = decoded.voi.function
    return FrameValues(
        content=values.tobytes(),
        kind=kind.name,
        rows=decoded.rows,
        columns=decoded.columns,
        function=function if function in WINDOW_FUNCTIONS else "LINEAR",
        is_inverted=decoded.photometric_interpretation == "MONOCHROME1",
    )


def _kind_of(pixels: NDArray[Any]) -> np.dtype[Any]:
    """The smallest kind of number that holds every value exactly."""
    if np.issubdtype(pixels.dtype, np.floating) and (pixels != np.rint(pixels)).any():
        return pixels.dtype
    for kind in (np.dtype(np.int16), np.dtype(np.uint16)):
        limits = np.iinfo(kind)
        if limits.min <= pixels.min() and pixels.max() <= limits.max:
            return kind
    return pixels.dtype


def render_png(
    instance: Instance, frame: int = 1, window: tuple[float, float] | None = None
) -> bytes:
    """Draw one frame as `draw_frame` does, as a PNG picture."""
    return encode_png(draw_frame(instance, frame, window))
