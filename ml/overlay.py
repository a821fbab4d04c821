"""Draws evidence as a translucent layer in colours that colour-blind eyes can order."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Cividis (Nunez, Anderton, Renslow, PLOS ONE 2018) at nine equal steps.
CIVIDIS = np.array(
    [
        (0, 34, 78),
        (18, 53, 112),
        (59, 73, 108),
        (87, 93, 109),
        (112, 113, 115),
        (138, 134, 120),
        (165, 156, 116),
        (195, 179, 105),
        (254, 232, 56),
    ],
    np.float64,
)
MAX_ALPHA = 0.7


def render_activation(
    activation: NDArray[np.floating],
    *,
    size: tuple[int, int],
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """RGBA layer of `size` (rows, columns) for an h x w map of 0..1; alpha grows with strength.

    The scale is fixed: 1 is the brightest there is, whatever the map's own maximum. Beside the
    `body` (n x n over the whole image), if given, the layer is clear. Raises ValueError for values
    outside 0..1.
    """
    values = np.asarray(activation, np.float32)
    if values.ndim != 2 or not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("an activation map is two-dimensional with values from 0 to 1")
    rows, columns = size
    smooth = Image.fromarray(values).resize((columns, rows), Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(smooth), 0, values.max())
    if body is not None:
        inside = Image.fromarray(body.astype(np.float32))
        covered = inside.resize((columns, rows), Image.Resampling.BILINEAR)
        strength = strength * np.clip(np.asarray(covered) * 2 - 1, 0, 1)
    steps = np.linspace(0, 1, len(CIVIDIS))
    channels = [np.interp(strength, steps, CIVIDIS[:, channel]) for channel in range(3)]
    layer = np.stack([*channels, strength * MAX_ALPHA * 255], axis=-1)
    return np.asarray(np.rint(layer), np.uint8)
