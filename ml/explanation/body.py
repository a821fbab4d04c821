"""Which part of an image shows a body: evidence for a finding can't lie in the air beside it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]

# Cells a side in which body and surroundings are told apart: finer than any network's own cells.
SIDE = 32
# Part of the image's range of levels that the air beside a body may differ by.
TOLERANCE = 0.08
# Part of a cell's pixels that make it body: a bone's edge and noise in muscle count.
BODY_SHARE = 0.03
# Colour photographs have surroundings only where they are black: skin may fill the whole image.
BLACK = 20


def find_body(shown: NDArray[np.uint8]) -> Mask:
    """Cells (SIDE x SIDE over the whole image) that show a body, of an HxW or HxWx3 image.

    Surroundings are dark, even, and reach the image's edge: a lung is as dark as the air but
    enclosed, so that gaps between ribs are taken as closed, and what has body above, below, left
    and right is body. So is all of an image without such an edge.
    """
    levels = np.asarray(Image.fromarray(shown).convert("L"))
    limit = _find_limit(levels, is_colour=shown.ndim == 3)
    if limit is None:
        return np.ones((SIDE, SIDE), np.bool_)
    bright = Image.fromarray(((levels > limit) * 255).astype(np.uint8))
    share = np.asarray(bright.convert("F").resize((SIDE, SIDE), Image.Resampling.BOX)) / 255
    body = share > BODY_SHARE
    closed = _widen(body)
    outside = _spread(_edge(body) & ~closed, ~closed) & ~_is_enclosed(closed)
    # The air that closing the gaps took away lies beside the air that was reached.
    found = ~(_widen(outside) & ~body)
    return found if found.any() else np.ones_like(found)


def _find_limit(levels: NDArray[np.uint8], *, is_colour: bool) -> float | None:
    """The level up to which a pixel at the edge is air, or None where no edge is dark enough."""
    edge = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    darkest, brightest = (float(value) for value in np.percentile(levels, (2, 98)))
    air = float(np.percentile(edge, 5))
    if is_colour:
        return BLACK if air <= BLACK else None
    tolerance = TOLERANCE * max(brightest - darkest, 1)
    return air + tolerance if air <= darkest + tolerance else None


def _is_enclosed(body: Mask) -> Mask:
    """Cells with body on either side, in their row and in their column."""
    sides = [
        np.logical_or.accumulate(body, axis=0),
        np.logical_or.accumulate(body[::-1], axis=0)[::-1],
        np.logical_or.accumulate(body, axis=1),
        np.logical_or.accumulate(body[:, ::-1], axis=1)[:, ::-1],
    ]
    return np.asarray(np.logical_and.reduce(sides), np.bool_)


def _edge(cells: Mask) -> Mask:
    edge = np.ones_like(cells)
    edge[1:-1, 1:-1] = False
    return edge


def _widen(cells: Mask) -> Mask:
    """The cells and their eight neighbours."""
    padded = np.pad(cells, 1)
    rows, columns = cells.shape
    steps = [(row, column) for row in range(3) for column in range(3)]
    moved = [padded[row : row + rows, column : column + columns] for row, column in steps]
    return np.asarray(np.logical_or.reduce(moved), np.bool_)


def _spread(start: Mask, within: Mask) -> Mask:
    """All cells of `within` that hang together with `start`."""
    found = start & within
    while True:
        grown = _widen(found) & within
        if (grown == found).all():
            return found
        found = grown
