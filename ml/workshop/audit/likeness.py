"""Which images are the same picture: a perceptual hash proposes pairs, their details decide."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ml.workshop.progress import track

Hashes = NDArray[np.uint64]
Details = NDArray[np.float16]
Thumbnails = NDArray[np.uint8]
Indices = NDArray[np.int64]

# Measured on 750 real images of five tasks: copies saved as JPEG at quality 75, halved at quality
# 40, enlarged by 1.7, squashed to a square or with another gamma differ from their original in at
# most 10 of 64 bits (99 % in at most 8). Of the chest radiographs 58,598 pairs of different groups
# are as close, far too many to refuse a split for: their details decide.
MAX_DISTANCE = 10
# Correlation of the details. The same copies: 0.81 to 1, which finds all of them but photographs
# of skin and fundus that were halved at quality 40 (smooth: from 0.38). Pairs of different groups
# within MAX_DISTANCE: 2 of the 58,598 radiographs (the same children, filed twice) and none of
# 8,800 lesions. Neighbouring slices of one head reach 0.6 to 0.75 and are let pass. Correlation
# of plain thumbnails can't decide: round fundus images of two patients reach 0.99.
MIN_CORRELATION = 0.8
HASH_SIDE = 8
# Pixels around each, of a thumbnail, that its detail is measured against.
RADIUS = 2
# Grey levels: what varies less is noise and isn't blown up to be a detail.
NOISE = 2.0
# Rows of the table of distances, and pairs compared, at one time: both bound the memory.
ROWS = 256
PAIRS = 1024


def perceptual_hashes(thumbnails: Thumbnails) -> Hashes:
    """64 bits for each of N thumbnails: which low frequencies lie above their median.

    The lowest 8 x 8 coefficients of the discrete cosine transform, the mean level left out of the
    median (pHash: Zauner 2010, section 3.2.1).
    """
    side = thumbnails.shape[1]
    places = np.arange(side)
    waves = np.cos(np.pi * (2 * places + 1) * places[:HASH_SIDE, np.newaxis] / (2 * side))
    levels = waves @ thumbnails.astype(np.float64) @ waves.T
    flat = levels.reshape(len(thumbnails), HASH_SIDE * HASH_SIDE)
    is_above = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    return np.packbits(is_above, axis=1).view(np.uint64)[:, 0]


def make_details(thumbnails: Thumbnails) -> Details:
    """N unit vectors of each pixel's difference from its surroundings, in units of their spread.

    Every part of the picture counts alike: without that, the black frame of a photograph or a CT
    makes all images of a kind the same. A picture without any detail is all zeros.
    """
    parts = [_detail(thumbnails[start : start + ROWS]) for start in range(0, len(thumbnails), ROWS)]
    return np.concatenate(parts) if parts else np.zeros((0, thumbnails[0].size), np.float16)


def _detail(thumbnails: Thumbnails) -> Details:
    levels = thumbnails.astype(np.float32)
    mean = _mean_around(levels)
    spread = np.sqrt(np.maximum(_mean_around(levels * levels) - mean * mean, 0))
    flat = ((levels - mean) / (spread + NOISE)).reshape(len(levels), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    lengths = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return np.asarray(flat / lengths, np.float16)


def _mean_around(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the square of 5 x 5 pixels around each, the borders repeated."""
    width = 2 * RADIUS + 1
    padded = np.pad(levels, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)), mode="edge")
    for axis in (1, 2):
        padded = np.lib.stride_tricks.sliding_window_view(padded, width, axis=axis).mean(axis=-1)
    return padded


def find_near(thumbnails: Thumbnails) -> Iterator[tuple[int, int, int, float]]:
    """Near-duplicates among N thumbnails: row, later row, Hamming distance, correlation.

    All pairs are looked at; eleven thousand images take seconds and about 150 MB.
    """
    if len(thumbnails) < 2:
        return
    hashes, details = perceptual_hashes(thumbnails), make_details(thumbnails)
    starts = range(0, len(hashes), ROWS)
    for start in track(starts, len(starts), "comparing", unit="block"):
        block = hashes[start : start + ROWS, np.newaxis]
        # Only later rows: each pair once.
        distances = np.bitwise_count(block ^ hashes[np.newaxis, start:])
        first, second = np.nonzero(distances <= MAX_DISTANCE)
        is_later = second > first
        first, second = first[is_later], second[is_later]
        apart = distances[first, second]
        likeness = _correlate(details, first + start, second + start)
        for row in np.flatnonzero(likeness >= MIN_CORRELATION):
            yield (
                int(first[row] + start),
                int(second[row] + start),
                int(apart[row]),
                float(likeness[row]),
            )


def _correlate(details: Details, first: Indices, second: Indices) -> NDArray[np.float32]:
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(first), PAIRS):
        left = details[first[start : start + PAIRS]].astype(np.float32)
        right = details[second[start : start + PAIRS]].astype(np.float32)
        parts.append(np.einsum("nc,nc->n", left, right))
    return np.concatenate(parts)
