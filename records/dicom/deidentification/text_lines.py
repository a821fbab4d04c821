"""Finding lines of writing in a picture by their strokes: thin, sharp, of one level, in a row.

No network and no dictionary: four or more blobs of a letter's shape that stand on one line and
share one level, at any of several sizes, in light on dark or dark on light, across or upright.
It finds that something is written, never what.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]

STROKE_WIDTH = 5
"""The widest stroke in pixels; wider ones are found at half the size, or half of that."""
STROKE_CONTRAST = 40
SMALLEST_SIDE = 128
HEIGHTS = (5, 32)
WIDEST = 3.5
"""A letter's width by its height; several that touch still count as one."""
FULLEST = 0.92
LETTERS_IN_A_LINE = 4
ON_LINE = 0.65
"""The share of letters that must stand on one line, or hang from one."""
MOST_LETTERS = 2000
"""More blobs than a page has letters are the picture's own grain: the largest are looked at."""
GAP = 1.5
"""The widest space between two letters, by their height."""
LEVEL_SPREAD = 24.0
"""Letters are printed in one level; what only looks like them rarely is."""


@dataclass(frozen=True, slots=True)
class _Blobs:
    """Connected strokes: bounding boxes (right and bottom excluded) and their extreme level."""

    left: NDArray[np.int64]
    top: NDArray[np.int64]
    right: NDArray[np.int64]
    bottom: NDArray[np.int64]
    size: NDArray[np.int64]
    level: NDArray[np.float64]

    def kept(self, which: NDArray[Any]) -> "_Blobs":
        return _Blobs(*(getattr(self, name)[which] for name in self.__slots__))


def find_text_lines(levels: Levels) -> list[Box]:
    """Boxes (x, y, width, height) around what looks like a line of writing."""
    found: list[Box] = []
    scale = 1
    while True:
        for picture in (levels, 255 - levels):
            found += [_scaled(box, scale) for box in _lines_of(picture)]
            upright = _lines_of(np.ascontiguousarray(picture.T))
            found += [_scaled((y, x, h, w), scale) for x, y, w, h in upright]
        if min(levels.shape) < 2 * SMALLEST_SIDE:
            return found
        levels, scale = _halved(levels), 2 * scale


def _scaled(box: Box, scale: int) -> Box:
    x, y, width, height = box
    return x * scale, y * scale, width * scale, height * scale


def _halved(levels: Levels) -> Levels:
    rows, columns = (side // 2 * 2 for side in levels.shape)
    even = levels[:rows, :columns].astype(np.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return (total // 4).astype(np.uint8)


def _lines_of(levels: Levels) -> list[Box]:
    """Lines of light writing, across."""
    blobs = _letters(_blobs(levels, _strokes(levels)))
    return [_around(blobs, group) for group in _groups(blobs) if _is_line(blobs, group)]


def _strokes(levels: Levels) -> Mask:
    """What stands out of its surroundings and is thinner than a stroke may be (a top-hat)."""
    opened = _spread(_spread(levels, np.minimum), np.maximum)
    return levels.astype(np.int16) - opened >= STROKE_CONTRAST


def _spread(levels: Levels, choose: np.ufunc) -> Levels:
    """The extreme of a square neighbourhood, rows first and columns then."""
    reach = STROKE_WIDTH // 2 + 1
    for axis in (0, 1):
        sides = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
        padded = np.pad(levels, sides, mode="edge")
        length = levels.shape[axis]
        parts = [np.take(padded, range(n, n + length), axis) for n in range(2 * reach + 1)]
        levels = choose.reduce(parts)
    return levels


def _blobs(levels: Levels, mask: Mask) -> _Blobs:
    """Join neighbouring pixels of the mask, the diagonal ones too."""
    rows, columns = np.nonzero(mask)
    count = len(rows)
    number = np.full(mask.shape, -1)
    number[rows, columns] = np.arange(count)
    labels = _labels(count, _neighbours(number))
    _, which = np.unique(labels, return_inverse=True)
    blobs = int(which.max()) + 1 if count else 0
    lowest = np.iinfo(np.int64).max
    left, top = np.full(blobs, lowest), np.full(blobs, lowest)
    right, bottom, level = np.zeros(blobs, int), np.zeros(blobs, int), np.zeros(blobs)
    np.minimum.at(left, which, columns)
    np.minimum.at(top, which, rows)
    np.maximum.at(right, which, columns + 1)
    np.maximum.at(bottom, which, rows + 1)
    np.maximum.at(level, which, levels[rows, columns].astype(float))
    return _Blobs(left, top, right, bottom, np.bincount(which, minlength=blobs), level)


def _neighbours(number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pairs = [
        (number[:, :-1], number[:, 1:]),
        (number[:-1], number[1:]),
        (number[:-1, :-1], number[1:, 1:]),
        (number[:-1, 1:], number[1:, :-1]),
    ]
    both = [(one >= 0) & (two >= 0) for one, two in pairs]
    first = [one[joined] for (one, _), joined in zip(pairs, both, strict=True)]
    second = [two[joined] for (_, two), joined in zip(pairs, both, strict=True)]
    return np.concatenate(first), np.concatenate(second)


def _labels(count: int, edges: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """The smallest number in each connected part: hook the larger root to the smaller, shorten."""
    parent = np.arange(count)
    one, two = edges
    while True:
        low, high = np.minimum(parent[one], parent[two]), np.maximum(parent[one], parent[two])
        if np.array_equal(low, high):
            return parent
        np.minimum.at(parent, high, low)
        while not np.array_equal(parent, shorter := parent[parent]):
            parent = shorter


def _letters(blobs: _Blobs) -> _Blobs:
    """Those of a letter's height, width and fill."""
    width, height = blobs.right - blobs.left, blobs.bottom - blobs.top
    fill = blobs.size / np.maximum(width * height, 1)
    is_letter = (height >= HEIGHTS[0]) & (height <= HEIGHTS[1]) & (width <= WIDEST * height)
    is_bar = width * 2 <= height
    letters = blobs.kept(is_letter & ((fill <= FULLEST) | is_bar) & (fill >= 0.1))
    return letters.kept(np.argsort(-letters.size, kind="stable")[:MOST_LETTERS])


def _groups(blobs: _Blobs) -> list[NDArray[np.int64]]:
    """Letters that could be neighbours in a line, and the neighbours of those, together."""
    height = blobs.bottom - blobs.top
    tallest = np.maximum.outer(height, height)
    gap = blobs.left[None, :] - blobs.right[:, None]
    overlap = np.minimum.outer(blobs.bottom, blobs.bottom) - np.maximum.outer(blobs.top, blobs.top)
    fits = (gap >= -1) & (gap <= np.maximum(GAP * tallest, 3)) & (2 * overlap >= tallest)
    fits &= np.abs(np.subtract.outer(blobs.level, blobs.level)) <= LEVEL_SPREAD
    labels = _labels(len(height), np.nonzero(fits))
    return [np.nonzero(labels == label)[0] for label in np.unique(labels)]


def _is_line(blobs: _Blobs, group: NDArray[np.int64]) -> bool:
    """Enough letters, most of them standing on one line or hanging from one, in one level."""
    if len(group) < LETTERS_IN_A_LINE:
        return False
    heights = (blobs.bottom - blobs.top)[group]
    tolerance = max(1.0, 0.12 * float(np.median(heights)))
    on_line = max(
        int((np.abs(side[group] - np.median(side[group])) <= tolerance).sum())
        for side in (blobs.top, blobs.bottom)
    )
    return on_line >= ON_LINE * len(group)


def _around(blobs: _Blobs, group: NDArray[np.int64]) -> Box:
    left, top = int(blobs.left[group].min()), int(blobs.top[group].min())
    right, bottom = int(blobs.right[group].max()), int(blobs.bottom[group].max())
    return left, top, right - left, bottom - top
