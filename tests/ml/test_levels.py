"""Percentiles by counting: the same numbers as by sorting, bit for bit."""

import numpy as np
import pytest

from ml.levels import count_percentiles


@pytest.mark.parametrize("highest", [0, 1, 5, 255, 765])
@pytest.mark.parametrize("size", [1, 2, 3, 64, 101, 4096])
def test_count_percentiles_equals_numpy_exactly(highest: int, size: int) -> None:
    rng = np.random.default_rng(size * 1000 + highest)
    percents = (0, 1, 25, 33.3, 50, 66.6, 99, 100)
    for kind in (np.uint16, np.uint8) if highest < 256 else (np.uint16,):
        levels = rng.integers(0, highest, size, endpoint=True).astype(kind)
        found = count_percentiles(levels, percents)
        np.testing.assert_array_equal(found, np.percentile(levels, percents))


def test_count_percentiles_takes_a_picture_of_any_shape() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::2]
    assert count_percentiles(picture, (50,)) == [np.percentile(picture, 50)]
