"""Occlusion sensitivity: cover a part of the image and see which logits fall, on any engine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.runtimes import Runtime

Floats = NDArray[np.float32]

# Covered copies run at once: bounds the memory.
BATCH = 32


@dataclass(frozen=True, slots=True)
class Occlusion:
    """The cover's side and step, as parts of the image's side; a step is at most a side.

    A small cover changes little more than a texture: a network trained with pieces cut out fills
    them in, so the cover is as large as the network's own view of one cell.
    """

    side: float = 0.4
    step: float = 0.1


def occlude(runtime: Runtime, image: Floats, occlusion: Occlusion | None = None) -> Floats:
    """Fall of each logit (K x n x n) when a place of the image (H x W x channels) is covered.

    Zeiler and Fergus 2014. The cover is a square of the image's mean; each cell holds the mean
    fall over the covers that lie on it, so that positive is support for the label and negative
    speaks against it. Every cell is covered as often from either side as its place allows.
    """
    occlusion = occlusion or Occlusion()
    side, cells = image.shape[0], max(1, round(1 / occlusion.step))
    edges = np.rint(np.linspace(0, side, cells + 1)).astype(int)
    span = max(1, round(occlusion.side / occlusion.step))
    starts = range(cells - span + 1)
    places = [(row, column) for row in starts for column in starts]
    falls = _measure_falls(runtime, image, [_box(edges, place, span) for place in places])
    total = np.zeros((falls.shape[1], cells, cells), np.float64)
    count = np.zeros((cells, cells))
    for (row, column), fall in zip(places, falls, strict=True):
        total[:, row : row + span, column : column + span] += fall[:, np.newaxis, np.newaxis]
        count[row : row + span, column : column + span] += 1
    return np.asarray(total / count, np.float32)


def _box(edges: NDArray[np.int_], place: tuple[int, int], span: int) -> tuple[slice, slice]:
    row, column = place
    return slice(edges[row], edges[row + span]), slice(edges[column], edges[column + span])


def _measure_falls(runtime: Runtime, image: Floats, boxes: list[tuple[slice, slice]]) -> Floats:
    """Logits of the image less those with each box covered (boxes x K)."""
    whole = runtime.predict(image[np.newaxis]).logits[0]
    cover = image.mean(axis=(0, 1))
    parts = []
    for start in range(0, len(boxes), BATCH):
        chosen = boxes[start : start + BATCH]
        covered = np.repeat(image[np.newaxis], len(chosen), axis=0)
        for copy, box in zip(covered, chosen, strict=True):
            copy[box] = cover
        parts.append(whole - runtime.predict(covered).logits)
    return np.concatenate(parts)
