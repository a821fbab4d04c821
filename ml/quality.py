"""Whether an image is good enough to be read: blur, noise, compression, exposure, borders."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.abstention import Abstention
from ml.limits import QualityLimits

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]

# Side of JPEG's blocks, and the fewest pixels of the network's input in which one can be seen.
BLOCK = 8
MIN_BLOCK_SEEN = 2.0
# Rows and columns of the whole image that are looked at for blocks.
STRIPS = 64
# Pixels on a side that exposure, levels and borders are read from: every so many of a larger image.
LOOKED_AT = 128
# Part of the pixels whose grey levels are counted: edges and marks have levels of their own.
COUNTED_SHARE = 0.9
BRIGHTEST = 250
BRIGHT_PERCENTILE = 95
# How far a level may lie from the corner's to be called border, and the part of a line that may
# differ from it: a compressed border flickers.
BORDER_TOLERANCE = 12
BORDER_SHARE = 0.02
# The outermost part of the sides in which a cut-off subject shows, and the part of the way from
# the darkest to the brightest level from which a pixel there belongs to it.
EDGE = 0.02
EDGE_LEVEL = 0.25
TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Complaint:
    """The code of an abstention, and the sentence that staff read."""

    code: str
    reason: str


SEND_ORIGINAL = "Send the original, or take the image again."
# Every measure with what is said when it is too large; the first that is decides.
COMPLAINTS: Mapping[str, Complaint] = {
    "coarseness": Complaint(
        "too_few_levels", f"This image has too few grey levels to be read. {SEND_ORIGINAL}"
    ),
    "blocking": Complaint(
        "too_compressed",
        "This image was compressed until its blocks show. Send the original, or less compressed.",
    ),
    "blur": Complaint("too_blurred", f"This image is too blurred to be read. {SEND_ORIGINAL}"),
    "noise": Complaint("too_noisy", f"This image is too noisy to be read. {SEND_ORIGINAL}"),
    "glare": Complaint(
        "badly_exposed", "This image is overexposed. Take it again with less light or exposure."
    ),
    "darkness": Complaint(
        "badly_exposed", "This image is underexposed. Take it again with more light or exposure."
    ),
    "cut": Complaint(
        "cropped", "This image is cut off: what is shown reaches its edges. Send the whole image."
    ),
    "border": Complaint(
        "too_much_border", "Too much of this image is an empty border. Send it without the border."
    ),
}
MEASURES = tuple(COMPLAINTS)

Quality = dict[str, float]
"""Each measure of `MEASURES` by name; the larger the worse."""


def measure_quality(shown: Levels, inputs: Floats) -> Quality:
    """All measures of an image as it is shown (HxW or HxWx3), and as the network's input.

    - `blur`: log10 of the energy of details of about four pixels of the network's input over that
      of one pixel, so that a 3000-pixel radiograph and its copy are as sharp as what is seen of
      them; `noise` is the reverse.
    - `blocking`: how much larger steps between the blocks of JPEG are than those inside, in units
      of the mean step; 0 where a block is too small to be seen in the network's input.
    - `coarseness`: bits of eight that the grey levels of nine tenths of the pixels don't use.
    - `glare`: share of pixels that are white; `darkness`: how far the bright parts are from white.
    - `cut`: share of the outermost pixels that aren't dark; `border`: share of the area that lies
      in rows and columns of one level around the image.
    """
    blur = _measure_blur(inputs)
    step = -(-min(shown.shape[:2]) // LOOKED_AT)
    sample = _as_grey(shown[::step, ::step])
    return {
        "coarseness": _measure_coarseness(sample),
        "blocking": _measure_blocking(shown, inputs.shape[0]),
        "blur": blur,
        "noise": -blur,
        "glare": float((sample >= BRIGHTEST).mean()),
        "darkness": 1 - float(np.percentile(sample, BRIGHT_PERCENTILE)) / 255,
        "cut": _measure_cut(sample),
        "border": _measure_border(sample),
    }


def check_quality(quality: Quality, limits: QualityLimits) -> Abstention | None:
    """The first complaint about an image whose measure is above its limit, None without one."""
    for measure, complaint in COMPLAINTS.items():
        limit = limits.limits.get(measure)
        if limit is not None and quality[measure] > limit.limit:
            return Abstention(complaint.code, complaint.reason)
    return None


def _as_grey(shown: NDArray[np.uint8] | Floats) -> Floats:
    """Grey levels (HxW); of colours (HxWxC) the mean, plane by plane: far faster."""
    if shown.ndim == 2:
        return shown.astype(np.float32)
    planes = [shown[..., channel].astype(np.float32) for channel in range(shown.shape[2])]
    return np.asarray(sum(planes) / np.float32(len(planes)), np.float32)


def _measure_blur(inputs: Floats) -> float:
    levels = _as_grey(inputs)
    energies = []
    for distance in (1, 2, 4):
        smooth = _smooth(levels, distance)
        middle = levels[distance:-distance, distance:-distance]
        energies.append(float(np.square(middle - smooth).mean()))
        levels = smooth
    return float(np.log10((energies[2] + TINY) / (energies[0] + TINY)))


def _smooth(levels: Floats, distance: int) -> Floats:
    """The levels weighed 1 : 2 : 1 with those so many pixels away on both axes, without edges."""
    down = levels[: -2 * distance] + levels[2 * distance :] + 2 * levels[distance:-distance]
    middle = down[:, distance:-distance]
    summed = down[:, : -2 * distance] + down[:, 2 * distance :] + 2 * middle
    return np.asarray(summed / 16, np.float32)


def _measure_blocking(shown: Levels, size: int) -> float:
    if BLOCK * size < MIN_BLOCK_SEEN * min(shown.shape[:2]) or min(shown.shape[:2]) < 4 * BLOCK:
        return 0.0
    rows, columns = shown.shape[:2]
    across = shown[:: max(1, rows // STRIPS)]
    down = shown[:, :: max(1, columns // STRIPS)].swapaxes(0, 1)
    return float(np.mean([_compare_steps(_as_grey(strips)) for strips in (across, down)]))


def _compare_steps(strips: Floats) -> float:
    """Of lines of pixels (N x L): the step at the strongest place of eight, less the usual one."""
    steps = np.abs(np.diff(strips, axis=1))
    peaks = steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2
    whole = peaks[:, : peaks.shape[1] // BLOCK * BLOCK]
    places = whole.reshape(len(whole), -1, BLOCK).mean(axis=(0, 1))
    return float((places.max() - np.median(places)) / (steps.mean() + 0.25))


def _measure_coarseness(sample: Floats) -> float:
    counts = np.sort(np.bincount(np.rint(sample).astype(np.int64).ravel(), minlength=256))[::-1]
    used = int(np.searchsorted(np.cumsum(counts), COUNTED_SHARE * sample.size)) + 1
    return float(8 - np.log2(used))


def _measure_cut(sample: Floats) -> float:
    rows, columns = sample.shape
    width = max(1, round(EDGE * min(rows, columns)))
    low, high = np.percentile(sample, (1, 99))
    limit = low + EDGE_LEVEL * (high - low)
    edge = np.ones(sample.shape, bool)
    edge[width : rows - width, width : columns - width] = False
    return float((sample[edge] > limit).mean())


def _measure_border(sample: Floats) -> float:
    """The area outside the rows and columns that differ from the first corner's level."""
    differs = np.abs(sample - sample[0, 0]) > BORDER_TOLERANCE
    content = 1.0
    for axis in (0, 1):
        (found,) = np.nonzero(differs.mean(axis=axis) > BORDER_SHARE)
        content *= (found[-1] - found[0] + 1) / differs.shape[1 - axis] if found.size else 0.0
    return float(1 - content)
