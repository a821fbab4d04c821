"""Which images are one picture moved: cropped, turned a little, shifted or mirrored.

The spectrum of a picture tells neither where it lies nor, smoothed, how far it is turned: it
proposes pairs. Each is then laid one upon the other, and their details decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.workshop.progress import track

Thumbnails = NDArray[np.uint8]
Maps = NDArray[np.float32]
Groups = NDArray[np.int64]
# Degrees, size, pixels down and to the right.
Move = tuple[float, float, float, float]

# From this likeness of spectra on two images are laid together. Of each of five tasks 25 images
# were changed; their copies lie from 0.70 (lung) or 0.81 on, and are among the few likest.
MIN_SPECTRUM = 0.72
# From this correlation of their details on they are one picture. Lower 5 % and median of copies
# that lost up to 6 % of a side; were turned by 5 degrees; shifted by 12 pixels of 256; mirrored:
#   chest   0.85 and 0.92; 0.86 and 0.92; 0.76 and 0.90; 0.93 and 0.96
#   brain   0.87 and 0.92; 0.90 and 0.93; 0.83 and 0.91; 0.94 and 0.95
#   skin    0.80 and 0.88; 0.64 and 0.71; 0.60 and 0.86; 0.88 and 0.93
#   retina  0.72 and 0.84; 0.77 and 0.87; 0.59 and 0.80; 0.81 and 0.90
#   lung    0.81 and 0.90; 0.66 and 0.91; below and 0.89; 0.97 and 0.97
# Of 300 proposed pairs of different groups and splits of each (155 of lung) the highest that are
# no copies have 0.51 (chest) and 0.17 (skin); of lung none fits; of retina two pairs of hazy discs
# have 0.79 and 0.71. Of brain a sixth are copies, mostly mirrored; neighbouring slices have 0.5 to
# 0.7.
MIN_CORRELATION = 0.65
# From as many images on the mean of their spectra says what a spectrum of the kind looks like.
MANY = 500
# Gaussian blurs, in pixels of a thumbnail, whose difference is what counts as detail: coarse to
# find how two lie, fine to tell whether they are one.
COARSE, FINE = (0.7, 4.0), (0.5, 2.0)
# Grey levels: what varies less is noise and isn't blown up to be a detail.
NOISE = 2.0
# Frequencies kept, in periods over a thumbnail.
FREQUENCIES = 20
PAD = 16
# Turns in degrees and sizes that are tried first, and the steps around the best of them.
TURNS, SIZES = (-6.0, -3.0, 0.0, 3.0, 6.0), (0.88, 0.94, 1.0, 1.06, 1.13)
SHIFT_STEPS = (-0.4, 0.0, 0.4)
TURN_STEPS, SIZE_STEPS = (-1.5, 0.0, 1.5), (-0.03, 0.0, 0.03)
# Shifts tried: an eighth of the side.
REACH = 8
# Likest images that are laid upon each, of as many as there are: bounds the time.
NEAREST = 4
# What correlates less when first laid together is not looked at closer.
MIN_COARSE = 0.4
# Part of the frame that must lie upon the other for a verdict.
MIN_OVERLAP = 0.12
# Blocks to a side that are correlated each for itself, the part of one that must be kept, and how
# many must be.
BLOCKS, MIN_KEPT, MIN_BLOCKS = 5, 0.6, 5
# Part of the blocks that may be less alike than the verdict says.
LOWER = 0.25
# Pixels from the best shift that are elsewhere, and the part of its likeness allowed there.
APART, MAX_ELSEWHERE = 3, 0.8
# Detail, in units of its spread, that counts as none: empty discs are alike in nothing.
FLOOR = 0.12
# Grey levels: a smaller spread is flat; and the share of it in a blur around a pixel that is near.
FLAT, AROUND, NEAR_FLAT = 1.0, 3.0, 0.02
ROWS = 256


@dataclass(frozen=True, slots=True)
class Layers:
    """What is compared of a picture: coarse detail at half the side, fine detail, where any is."""

    coarse: Maps
    fine: Maps
    texture: NDArray[np.bool_]

    def mirror(self) -> "Layers":
        """The same, left for right."""
        return Layers(self.coarse[:, ::-1], self.fine[:, ::-1], self.texture[:, ::-1])


def find_moved(
    thumbnails: Thumbnails, groups: Groups, splits: Groups
) -> Iterator[tuple[int, int, bool, float]]:
    """Pairs of N square thumbnails in different splits: row, later row, mirrored, correlation.

    `groups` and `splits` are numbers. Pairs of one group aren't looked at: they are one patient's
    anyhow.
    """
    if len(thumbnails) < 2:
        return
    filled = fill_bars(thumbnails)
    strengths = make_strengths(filled)
    pictures = make_layers(thumbnails)
    proposed = _propose(strengths, groups, splits)
    for first, second, is_mirrored in track(proposed, len(proposed), "aligning", unit="pair"):
        own = pictures[first].mirror() if is_mirrored else pictures[first]
        found = correlate_moved(own, pictures[second])
        if found >= MIN_CORRELATION:
            yield first, second, is_mirrored, found


def _propose(strengths: Maps, groups: Groups, splits: Groups) -> list[tuple[int, int, bool]]:
    """Pairs to be laid together: of each image the few likest of other groups and splits."""
    mean = _mean_strengths(strengths)
    spectra = make_spectra(strengths, mean)
    # Of a mirrored picture the strengths are mirrored, and those of few images the mean as well.
    mirrored = make_spectra(strengths[:, :, ::-1], mean if len(mean) == 1 else mean[:, :, ::-1])
    found: dict[tuple[int, int, bool], None] = {}
    for start in range(0, len(spectra), ROWS):
        rows = slice(start, start + ROWS)
        is_asked = (groups[rows, None] != groups) & (splits[rows, None] != splits)
        for is_mirrored, own in ((False, spectra), (True, mirrored)):
            likeness = np.where(is_asked, own[rows] @ spectra.T, -1)
            likest = np.argpartition(-likeness, min(NEAREST, len(spectra) - 1), axis=1)[:, :NEAREST]
            for row, others in enumerate(likest):
                for other in others[likeness[row, others] >= MIN_SPECTRUM]:
                    pair = sorted((row + start, int(other)))
                    found[pair[0], pair[1], is_mirrored] = None
    return list(found)


def make_layers(thumbnails: Thumbnails) -> list[Layers]:
    """What is compared of each of N thumbnails."""
    levels = fill_bars(thumbnails)
    coarse, fine = _halve(make_maps(levels, COARSE)), make_maps(levels, FINE)
    texture = _find_texture(levels)
    for one, thumbnail in zip(texture, thumbnails, strict=True):
        shown = np.zeros_like(one)
        shown[_find_box(thumbnail)] = True
        one &= shown
    return [Layers(*three) for three in zip(coarse, fine, texture, strict=True)]


def _find_texture(levels: Maps) -> NDArray[np.bool_]:
    """Where each thumbnail shows something: neither flat nor near what is.

    The rim of a fundus and the outline of a body are alike in all images of a kind, once laid
    upon each other; what lies inside them isn't.
    """
    parts = []
    for start in range(0, len(levels), ROWS):
        part = levels[start : start + ROWS]
        mean = _blur(part, FINE[1])
        spread = np.sqrt(np.maximum(_blur(part * part, FINE[1]) - mean * mean, 0))
        is_flat = np.asarray(spread < FLAT, np.float32)
        parts.append(_blur(is_flat, AROUND) < NEAR_FLAT)
    return np.concatenate(parts)


def _halve(maps: Maps) -> Maps:
    """N maps at half their side."""
    return np.asarray(
        (maps[:, ::2, ::2] + maps[:, 1::2, ::2] + maps[:, ::2, 1::2] + maps[:, 1::2, 1::2]) / 4,
        np.float32,
    )


def fill_bars(thumbnails: Thumbnails) -> Maps:
    """N thumbnails with bars of one level along their edges replaced by what lies beside them."""
    return np.stack([_fill(one) for one in thumbnails]).astype(np.float32)


def _fill(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    levels, side = thumbnail.astype(np.float32), len(thumbnail)
    rows, columns = _find_box(thumbnail)
    around = (rows.start, side - rows.stop), (columns.start, side - columns.stop)
    return np.pad(levels[rows, columns], around, mode="edge")


def _find_box(thumbnail: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns between the bars of one level along the edges; all of an even picture."""
    found = []
    for axis in (1, 0):
        varied = np.flatnonzero(thumbnail.astype(np.float32).std(axis=axis) >= FLAT)
        found.append(slice(int(varied[0]), int(varied[-1]) + 1) if varied.size else slice(0, 0))
    rows, columns = found
    if rows.stop and columns.stop:
        return rows, columns
    return slice(0, len(thumbnail)), slice(0, len(thumbnail))


def make_maps(levels: Maps, blurs: tuple[float, float]) -> Maps:
    """N maps of detail: the difference of two blurs, in units of its spread around each pixel."""
    parts = []
    for start in range(0, len(levels), ROWS):
        part = levels[start : start + ROWS]
        detail = _blur(part, blurs[0]) - _blur(part, blurs[1])
        spread = np.sqrt(np.maximum(_blur(detail * detail, blurs[1]), 0))
        parts.append(detail / (spread + NOISE))
    return np.concatenate(parts).astype(np.float32)


def _blur(levels: Maps, sigma: float) -> Maps:
    padded = np.pad(levels, ((0, 0), (PAD, PAD), (PAD, PAD)), mode="edge")
    side = padded.shape[-1]
    rows, columns = np.fft.fftfreq(side), np.fft.rfftfreq(side)
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (rows[:, None] ** 2 + columns**2))
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * transfer, s=(side, side))
    return np.asarray(blurred[:, PAD:-PAD, PAD:-PAD], np.float32)


def make_strengths(levels: Maps) -> Maps:
    """N maps of how strong each low frequency is, smoothed: a small turn or crop changes little."""
    parts = [_strength(levels[start : start + ROWS]) for start in range(0, len(levels), ROWS)]
    return np.concatenate(parts)


def _strength(levels: Maps) -> Maps:
    side = levels.shape[-1]
    window = np.hanning(side + 2)[1:-1]
    detail = make_maps(levels, (1.0, 4.0)) * np.outer(window, window)
    strength = np.fft.fftshift(np.sqrt(np.abs(np.fft.fft2(detail))), axes=(1, 2))
    low = slice(side // 2 - FREQUENCIES, side // 2 + FREQUENCIES + 1)
    strength = strength[:, low, low]
    for axis in (1, 2, 1, 2):
        strength = (2 * strength + np.roll(strength, 1, axis) + np.roll(strength, -1, axis)) / 4
    return np.asarray(strength, np.float32)


def make_spectra(strengths: Maps, mean: Maps) -> Maps:
    """N unit vectors: what sets each image's strengths apart from the mean ones."""
    flat = (strengths - mean).reshape(len(strengths), -1)
    lengths = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return np.asarray(flat / lengths, np.float32)


def _mean_strengths(strengths: Maps) -> Maps:
    """The mean over the images, or of few images that over frequencies as low (N x F x F)."""
    if len(strengths) >= MANY:
        return np.asarray(strengths.mean(axis=0, keepdims=True), np.float32)
    places = np.arange(-FREQUENCIES, FREQUENCIES + 1)
    rings = np.rint(np.hypot(places[:, None], places)).astype(int)
    sums = np.stack([np.bincount(rings.ravel(), one.ravel()) for one in strengths])
    return np.asarray((sums / np.bincount(rings.ravel()))[:, rings], np.float32)


def correlate_moved(first: Layers, second: Layers) -> float:
    """How alike the details of two pictures are where they fit upon each other best.

    -1 where they nowhere fit at all.
    """
    moves = [(turn, size, 0.0, 0.0) for turn in TURNS for size in SIZES]
    best, (turn, size, _, _) = _fit(first.coarse, second.coarse, moves)
    if best < MIN_COARSE:
        return -1.0
    around = [(turn + a, size + b, 0.0, 0.0) for a in TURN_STEPS for b in SIZE_STEPS]
    textures = first.texture, second.texture
    found, (turn, size, _, _) = _fit(first.fine, second.fine, around, *textures)
    if found < MIN_COARSE:
        return found
    between = [(turn, size, down, right) for down in SHIFT_STEPS for right in SHIFT_STEPS]
    return max(found, _fit(first.fine, second.fine, between, *textures)[0])


def _fit(
    first: Maps,
    second: Maps,
    moves: list[Move],
    texture: NDArray[np.bool_] | None = None,
    other_texture: NDArray[np.bool_] | None = None,
) -> tuple[float, Move]:
    """The highest correlation of the first (HxW), moved and shifted, with the second; its move."""
    side = len(first)
    window = np.hanning(side + 2)[1:-1]
    taper = np.outer(window, window)
    moved, inside = _move(first, moves)
    spectra = np.fft.rfft2(moved * taper) * np.conj(np.fft.rfft2(second * taper))
    likeness = np.fft.fftshift(np.fft.irfft2(spectra, s=(side, side)), axes=(1, 2))
    likeness /= np.linalg.norm(moved * taper, axis=(1, 2))[:, None, None] + 1e-6
    middle, reach = side // 2, side // REACH
    near = slice(middle - reach, middle + reach + 1)
    peaks = likeness[:, near, near].reshape(len(moves), -1)
    best = -1.0, moves[0]
    for row in np.argsort(-peaks.max(axis=1))[:2]:
        shift = divmod(int(peaks[row].argmax()), 2 * reach + 1)
        down, right = (one - reach for one in shift)
        kept = inside[row]
        if texture is not None and other_texture is not None:
            if _is_ambiguous(likeness[row][near, near], down + reach, right + reach):
                continue
            shown, _ = _move(texture.astype(np.float32), [moves[row]])
            kept = kept & (shown[0] > 0.5) & np.roll(other_texture, (down, right), (0, 1))
        found = _correlate_overlap(moved[row], kept, second, down, right)
        best = max(best, (found, moves[row]))
    return best


def _is_ambiguous(likeness: Maps, down: int, right: int) -> bool:
    """Whether two fit as well elsewhere, as stripes do: then nothing says they are one."""
    rows, columns = np.indices(likeness.shape)
    is_apart = np.maximum(np.abs(rows - down), np.abs(columns - right)) > APART
    return bool(likeness[is_apart].max() > MAX_ELSEWHERE * likeness[down, right])


def _move(image: Maps, moves: list[Move]) -> tuple[Maps, NDArray[np.bool_]]:
    """The image turned and sized about its middle, then shifted; and where it is still itself."""
    side = len(image)
    middle = (side - 1) / 2
    turns, sizes, lower, further = np.array(moves).T[:, :, None, None]
    cosines, sines = np.cos(np.radians(turns)) / sizes, np.sin(np.radians(turns)) / sizes
    places = np.mgrid[:side, :side] - middle
    down, right = places[0] - lower, places[1] - further
    rows = middle + cosines * down + sines * right
    columns = middle - sines * down + cosines * right
    inside = (rows >= 0) & (rows <= side - 1) & (columns >= 0) & (columns <= side - 1)
    top = np.clip(np.floor(rows).astype(int), 0, side - 2)
    left = np.clip(np.floor(columns).astype(int), 0, side - 2)
    below, beside = np.clip(rows - top, 0, 1), np.clip(columns - left, 0, 1)
    upper = image[top, left] * (1 - beside) + image[top, left + 1] * beside
    lower = image[top + 1, left] * (1 - beside) + image[top + 1, left + 1] * beside
    return np.asarray((upper * (1 - below) + lower * below) * inside, np.float32), inside


def _correlate_overlap(
    moved: Maps, inside: NDArray[np.bool_], second: Maps, down: int, right: int
) -> float:
    """Correlation where the moved image, `down` and `right` too far, lies upon the second."""
    side = len(second)
    here = (
        slice(max(0, -down), min(side, side - down)),
        slice(max(0, -right), min(side, side - right)),
    )
    there = (
        slice(max(0, down), min(side, side + down)),
        slice(max(0, right), min(side, side + right)),
    )
    kept = inside[there]
    if kept.sum() < MIN_OVERLAP * side * side:
        return -1.0
    return _correlate_blocks(moved[there], second[here], kept, side // BLOCKS)


def _correlate_blocks(first: Maps, second: Maps, kept: NDArray[np.bool_], size: int) -> float:
    """Lower quartile of the correlations of the blocks that are mostly kept.

    All of a copy is alike; of two discs the rims alone are, which are half of the blocks at most.

    -1 for too few of them, as in an empty disc.
    """
    found = []
    high, wide = kept.shape
    for top in range(0, high - size + 1, size):
        for left in range(0, wide - size + 1, size):
            block = slice(top, top + size), slice(left, left + size)
            inner = kept[block]
            if inner.mean() >= MIN_KEPT:
                own, other = first[block][inner], second[block][inner]
                own, other = own - own.mean(), other - other.mean()
                floor = FLOOR**2 * len(own)
                scale = np.sqrt((own @ own + floor) * (other @ other + floor))
                found.append(own @ other / scale)
    return float(np.quantile(found, LOWER)) if len(found) >= MIN_BLOCKS else -1.0
