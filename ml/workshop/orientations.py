"""Images as they must not lie: on their side, upside down, or bright and dark exchanged."""

import numpy as np
from numpy.typing import NDArray

TURNED_KINDS = ("inverted", "rotated_90", "rotated_180", "rotated_270")


def turn(pixels: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """The image (H x W, or H x W x 3) as a negative, or turned anticlockwise by quarters."""
    if kind == "inverted":
        return 255 - pixels
    return np.ascontiguousarray(np.rot90(pixels, TURNED_KINDS.index(kind)))
