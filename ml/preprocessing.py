"""From a displayed image to the network's input: one path for training and for prediction."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images import Frame, Voi, read_frames, to_display
from ml.levels import count_percentiles
from ml.task_config import InputConfig

# Stored in every bundle. A change of anything below needs a new number here, and new bundles;
# a window in Hounsfield units is each manifest's own choice.
PREPROCESSING_VERSION = "squash-triangle-1"

STRETCH_PERCENTILES = (1, 99)
MIN_STRETCHED_RANGE = 32
# Files decoded at once.
CHUNK = 64


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

    A CT in Hounsfield units is read through the window that `spec` fixes, if it fixes one: the
    header's is for people, and the answer mustn't depend on it. All else is windowed as it
    declares.
    """
    if spec.hu_window is None or not frame.is_hounsfield:
        return to_display(frame)
    center, width = spec.hu_window
    # Hounsfield units mean the same whichever end the scanner draws bright.
    plain = replace(frame, voi=Voi("LINEAR"), photometric_interpretation="MONOCHROME2")
    return to_display(plain, window_center=center, window_width=width)


def describe_window(frame: Frame, spec: InputConfig) -> list[str]:
    """The sentence that says through which window the network read, if `spec` fixed it."""
    if spec.hu_window is None or not frame.is_hounsfield:
        return []
    center, width = spec.hu_window
    return [
        f"The model read this CT through a window of its own (center {center:g}, width {width:g} "
        "HU), whatever window is shown."
    ]


def prepare_display(shown: NDArray[np.uint8], spec: InputConfig) -> NDArray[np.float32]:
    """The same for an image already displayed (HxW or HxWx3 uint8).

    Both sides are squashed to the input's size with Pillow's antialiased triangle filter: nothing
    at the borders is lost, and the activation map lies over the whole image. The filter widens
    with the reduction, so a 3000-pixel radiograph and its 224-pixel copy give nearly the same
    input; a sharper one was tried and let the network take sharpness for health. The network
    itself scales to its backbone's range and repeats a grey channel.
    """
    image, mode = Image.fromarray(shown), "L" if spec.colour == "grey" else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    resized = image.resize((spec.size, spec.size), Image.Resampling.BILINEAR)
    shape = (spec.size, spec.size, spec.channels)
    levels: NDArray[np.uint8] = np.asarray(resized, np.uint8).reshape(shape)
    return _stretch(levels) if spec.contrast == "stretched" else levels.astype(np.float32)


def _stretch(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Spread the levels so that all but a hundredth at each end fill 0..255; those are clipped."""
    low, high = count_percentiles(levels, STRETCH_PERCENTILES)
    # Nearly blank images would become nothing but noise.
    scale = 255 / max(high - low, MIN_STRETCHED_RANGE)
    return np.asarray(np.clip((levels.astype(np.float32) - low) * scale, 0, 255), np.float32)
