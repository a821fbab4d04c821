"""How well so many cases tell a share: its intervals of 95 %, one-sided and two-sided."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

# Half of what lies outside a two-sided interval, and the normal distribution's quantiles.
TAIL = 0.025
TWO_SIDED_95 = 1.959964
ONE_SIDED_95 = 1.6449


def wilson(found: float, count: float, *, z: float = TWO_SIDED_95) -> Interval:
    """The score interval of a share, `found` of `count` (Wilson 1927)."""
    value, z2 = found / count, z**2
    middle = (value + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(value * (1 - value) / count + z2 / (4 * count * count))
    reach = z / (1 + z2 / count) * half
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def wilson_low(found: float, count: float) -> float:
    """Lower end of the one-sided score interval of a share."""
    return wilson(found, count, z=ONE_SIDED_95)[0]


def clopper_pearson(value: float, count: float) -> Interval:
    """The exact two-sided interval of none or all of `count` (Clopper and Pearson 1934)."""
    end = TAIL ** (1 / count)
    return (end, 1.0) if value >= 1 else (0.0, 1 - end)


def bound_share(value: float, count: float) -> Interval:
    """The two-sided interval of a share of `count` independent cases: exact for none and all.

    Else Wilson's; without a case nothing is known: from 0 to 1.
    """
    if not count:
        return 0.0, 1.0
    return clopper_pearson(value, count) if value in (0, 1) else wilson(value * count, count)


def bound_by_groups(
    is_counted: NDArray[np.bool_], groups: Sequence[str] | NDArray[np.str_]
) -> Interval:
    """Both ends of the one-sided intervals of a share of images.

    Groups are counted and not images: several images of one patient tell little more than one.
    Without an image nothing is known: from 0 to 1.
    """
    total = len(np.unique(np.asarray(groups)))
    if not total:
        return 0.0, 1.0
    return wilson(float(is_counted.mean()) * total, total, z=ONE_SIDED_95)
