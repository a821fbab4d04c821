"""Stored activation maps as pictures."""

import numpy as np

from ml.images import encode_png
from ml.overlay import render_activation
from records.models import Instance


def draw_overlay(grid: list[list[float]], instance: Instance) -> bytes:
    """A stored activation map as a translucent PNG of the image's own size."""
    size = (instance.rows or 1, instance.columns or 1)
    return encode_png(render_activation(np.asarray(grid, dtype=np.float32), size=size))
