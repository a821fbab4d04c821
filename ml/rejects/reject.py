"""One image to be refused, as the file that a user would send."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class Reject:
    """`kind` says why it is out of scope, `name` where it comes from, `content` is the file."""

    kind: str
    name: str
    content: bytes


def encode_reject(kind: str, name: str, pixels: NDArray[np.uint8]) -> Reject:
    """A reject from grey (HxW) or RGB (HxWx3) pixels, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return Reject(kind=kind, name=name, content=buffer.getvalue())
