"""Reads every image of a data set once: hashes, size, kind, and a thumbnail; or why it can't."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import ImageUnreadable, MLError
from ml.images import Frame, read_frames, to_display
from ml.workshop.datasets import Example
from ml.workshop.evaluation.baselines import flatten_thumbnail
from ml.workshop.progress import track

THUMBNAIL_SIDE = 64
# Decoding and hashing release the interpreter's lock.
THREADS = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """One readable image. Hashes are SHA-256: of the file's bytes and of the pixels as displayed.

    `mode` is grey or colour with the bits of a stored value, `kind` the file's suffix,
    `thumbnail` 64 x 64 grey levels, `levels` the 256 that the baseline sees.
    """

    example: Example
    file_hash: str
    pixel_hash: str
    size: str
    mode: str
    kind: str
    thumbnail: NDArray[np.uint8]
    levels: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that can't be used, with the code and sentence of its error."""

    name: str
    label: str
    split: str
    code: str
    reason: str


def read_pictures(examples: Sequence[Example]) -> tuple[list[Picture], list[Unreadable]]:
    """Every example as one or the other, in their order; of several frames the first."""
    pictures: list[Picture] = []
    unreadable: list[Unreadable] = []
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(_read_picture, examples)
        for one in track(found, len(examples), "reading", unit="image"):
            if isinstance(one, Picture):
                pictures.append(one)
            else:
                unreadable.append(one)
    return pictures, unreadable


def _read_picture(example: Example) -> Picture | Unreadable:
    try:
        content = _read_bytes(example)
        frame = read_frames(content, frames=[0])[0]
    except MLError as error:
        return Unreadable(example.name, example.label, example.split, error.code, error.message)
    shown = to_display(frame)
    # The shape is hashed too: the same bytes in other rows are another picture.
    pixels = f"{shown.shape}".encode() + np.ascontiguousarray(shown).tobytes()
    return Picture(
        example=example,
        file_hash=hashlib.sha256(content).hexdigest(),
        pixel_hash=hashlib.sha256(pixels).hexdigest(),
        size=f"{frame.columns} x {frame.rows}",
        mode=_name_mode(frame),
        kind=example.path.suffix.lower().lstrip(".") or "none",
        thumbnail=make_thumbnail(shown),
        levels=flatten_thumbnail(shown),
    )


def _read_bytes(example: Example) -> bytes:
    try:
        return example.path.read_bytes()
    except OSError as error:
        raise ImageUnreadable(detail=error.strerror or "it can't be opened") from error


def _name_mode(frame: Frame) -> str:
    if frame.is_colour:
        return "colour"
    return "grey, 8 bits" if frame.pixels.dtype == np.uint8 else "grey, more than 8 bits"


def make_thumbnail(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """64 x 64 grey levels of a displayed image, both sides squashed; each a mean of its area."""
    image = Image.fromarray(shown).convert("L")
    small = image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small)
