"""From a displayed image to the network's input: one path for training and for prediction."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images import Frame, read_frames, to_display
from ml.levels import count_percentiles
from ml.task_config import InputConfig

# Stored in every bundle. A change of anything below needs a new number here, and new bundles.
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
    """The network's input (size x size x channels, 0..255) for a frame, windowed as it declares."""
    return prepare_display(to_display(frame), spec)


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
