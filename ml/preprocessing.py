"""From a displayed image to the network's input: one path for training and for prediction."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images import Frame, Voi, read_frames, to_display
from ml.inputs import InputConfig
from ml.levels import count_percentiles

# Stored in every bundle. A change of anything below needs a new number here, and new bundles;
# windows in Hounsfield units, whether values or a window count, and how large images are shrunk are
# each manifest's own choice.
PREPROCESSING_VERSION = "squash-triangle-1"

STRETCH_PERCENTILES = (1, 99)
MIN_STRETCHED_RANGE = 32
# Averaging whole pixels ends at so many times the input's size.
AREA_GAP = 2.0
# Files decoded at once.
CHUNK = 64
# Of an image read by its values: pixels on a side that are looked at, the share of all pixels from
# which on a value at either end is border or saturation, the least share that is anatomy, and the
# percentiles of the anatomy that become black and white.
LOOKED_AT = 256
SHARED = 0.01
MIN_ANATOMY = 0.05
ANATOMY_PERCENTILES = (0.5, 99.5)


def prepare_files(
    sources: Iterable[Path | bytes], spec: InputConfig
) -> Iterator[NDArray[np.float32]]:
    """Inputs of the files' first frames, in order and in batches (N x size x size x channels).

    Raises the errors of `ml.images.read_frames` for a file that can't be decoded.
    """
    chunk: list[NDArray[np.float32]] = []
    for source in sources:
        chunk.append(prepare_frame(read_frames(source, frames=[0])[0], spec))
        if len(chunk) == CHUNK:
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)


def prepare_frame(frame: Frame, spec: InputConfig) -> NDArray[np.float32]:
    """The network's input (size x size x channels, 0..255) for a frame."""
    return prepare_display(show_frame(frame, spec), spec)


def show_frame(frame: Frame, spec: InputConfig) -> NDArray[np.uint8]:
    """The grey levels or colours that the network is shown (HxW or HxWx3 uint8).

    A CT in Hounsfield units is read through the windows that `spec` fixes, if it fixes any: one, or
    one for each channel. Any other grey image is read as `spec.grey_levels` says: as it is shown,
    or from its values alone. The header's window is for people.
    """
    if spec.hu_window is not None and frame.is_hounsfield:
        # Hounsfield units mean the same whichever end the scanner draws bright.
        plain = replace(frame, voi=Voi("LINEAR"), photometric_interpretation="MONOCHROME2")
        windows = [
            to_display(plain, window_center=center, window_width=width)
            for center, width in spec.hu_channels or (spec.hu_window,)
        ]
        return np.stack(windows, axis=-1) if spec.hu_channels else windows[0]
    shown = _show_values(frame) if spec.grey_levels == "values" else to_display(frame)
    # Channels of an image are windows here: a colour picture has to become grey before.
    is_tinted = shown.ndim == 3 and spec.hu_channels is not None
    return np.asarray(Image.fromarray(shown).convert("L")) if is_tinted else shown


def _show_values(frame: Frame) -> NDArray[np.uint8]:
    """A grey image from its values, whatever window its header names (HxW uint8).

    Percentiles of the anatomy go to the ends of the range. The levels of a picture stay what they
    are, and a table of grey levels is the maker's own, and no window that anybody moves.
    """
    if frame.is_colour or frame.voi.function in ("NONE", "LUT"):
        return to_display(frame)
    if frame.picture_high is not None:
        low, high = 0.0, frame.picture_high
    else:
        low, high = _find_anatomy(frame)
    plain = replace(frame, voi=Voi("RANGE", low=low, high=high))
    return to_display(replace(plain, window_center=None, window_width=None))


def _find_anatomy(frame: Frame) -> tuple[float, float]:
    """Percentiles of the values without padding, border and saturation.

    Border and saturation are what many pixels share at either end. Symmetric: an inverted image
    gets the inverted range.
    """
    step = max(1, min(frame.rows, frame.columns) // LOOKED_AT)
    values = frame.pixels[::step, ::step].ravel().astype(np.float64)
    values = values[np.isfinite(values)]
    if frame.padding is not None:
        low, high = frame.padding
        values = _without(values, (values >= low) & (values <= high))
    if not values.size:
        return 0.0, 0.0
    ends = [end for end in (values.min(), values.max()) if (values == end).mean() > SHARED]
    anatomy = _without(values, np.isin(values, ends))
    low, high = np.percentile(anatomy, ANATOMY_PERCENTILES)
    return float(low), float(high)


def _without(values: NDArray[np.float64], is_other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The values that are something else, unless hardly any is."""
    return values if is_other.mean() > 1 - MIN_ANATOMY else values[~is_other]


def lacks_hounsfield(frame: Frame, spec: InputConfig) -> bool:
    """Whether a CT that `spec` reads in Hounsfield units doesn't have them.

    A CT is what says so by its SOP class, or by its modality where the class is another; a
    Secondary Capture is a picture of whatever modality, with grey levels that somebody chose.
    """
    return spec.hu_window is not None and frame.is_ct and not frame.is_hounsfield


def describe_window(frame: Frame, spec: InputConfig) -> list[str]:
    """The sentence that says what the network read the grey levels by, if not as they are shown."""
    if spec.hu_window is not None and frame.is_hounsfield:
        windows = spec.hu_channels or (spec.hu_window,)
        named = ", ".join(f"center {center:g}, width {width:g}" for center, width in windows)
        which = "a window" if len(windows) == 1 else "windows"
        return [
            f"The model read this CT through {which} of its own ({named} HU), "
            "whatever window is shown."
        ]
    is_deep = frame.voi.function not in ("NONE", "LUT") and frame.picture_high is None
    if spec.grey_levels == "values" and is_deep and not frame.is_colour:
        return ["The model read this image by the values of the anatomy, whatever window is shown."]
    return []


def prepare_display(shown: NDArray[np.uint8], spec: InputConfig) -> NDArray[np.float32]:
    """The same for an image already displayed (HxW or HxWx3 uint8).

    Both sides are squashed to the input's size with Pillow's antialiased triangle filter: nothing
    at the borders is lost, and the activation map lies over the whole image. The filter widens
    with the reduction, so a 3000-pixel radiograph and its 224-pixel copy give nearly the same
    input; a sharper one was tried and let the network take sharpness for health. With `shrink`
    "area" whole pixels are averaged before, down to twice the size. The network itself scales to
    its backbone's range and repeats a grey channel. Where the channels are windows in Hounsfield
    units, a grey image is taken as shown through the widest, and gives them all.
    """
    if spec.hu_channels is not None and shown.ndim == 2:
        shown = _derive_channels(shown, spec)
    image, mode = Image.fromarray(shown), "L" if spec.colour == "grey" else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    gap = AREA_GAP if spec.shrink == "area" else None
    side = (spec.size, spec.size)
    resized = image.resize(side, Image.Resampling.BILINEAR, reducing_gap=gap)
    shape = (spec.size, spec.size, spec.channels)
    levels: NDArray[np.uint8] = np.asarray(resized, np.uint8).reshape(shape)
    return _stretch(levels) if spec.contrast == "stretched" else levels.astype(np.float32)


def _derive_channels(shown: NDArray[np.uint8], spec: InputConfig) -> NDArray[np.uint8]:
    """Grey levels (HxW) of `spec.hu_window` as those of each of its channels (HxWx3)."""
    center, width = spec.hu_window or (0.0, 1.0)
    levels = np.arange(256)
    # As C.11.2.1.2.1 maps values to levels, backwards.
    hounsfield = center - 0.5 + (levels / 255 - 0.5) * (width - 1)
    tables = [
        np.clip((hounsfield - (one - 0.5)) / (wide - 1) + 0.5, 0, 1) * 255
        for one, wide in spec.hu_channels or ()
    ]
    table: NDArray[np.uint8] = np.rint(np.stack(tables, axis=-1)).astype(np.uint8)
    return np.asarray(table[shown])


def _stretch(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Spread the levels so that all but a hundredth at each end fill 0..255; those are clipped."""
    low, high = count_percentiles(levels, STRETCH_PERCENTILES)
    # Nearly blank images would become nothing but noise.
    scale = 255 / max(high - low, MIN_STRETCHED_RANGE)
    return np.asarray(np.clip((levels.astype(np.float32) - low) * scale, 0, 255), np.float32)
