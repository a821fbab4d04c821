"""One image to be refused, as the file that a user would send."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class Reject:
    """`kind` says why it is out of scope, `name` where it comes from, `content` is the file.

    `label` is that of the task's own image it was made of; empty for any other.
    """

    kind: str
    name: str
    content: bytes
    label: str = ""


def encode_reject(kind: str, name: str, pixels: NDArray[np.uint8], *, label: str = "") -> Reject:
    """A reject from grey (HxW) or RGB (HxWx3) pixels, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return Reject(kind=kind, name=name, content=buffer.getvalue(), label=label)
