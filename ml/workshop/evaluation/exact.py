"""What a figure rests on, and its interval where resampling says nothing: 15 of 15 is 0.78 to 1."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml.intervals import bound_share
from ml.manifest import Metric

Mask = NDArray[np.bool_]
Ints = NDArray[np.integer]

# With fewer groups right (or wrong) than this, resamples without any of them are too many.
MIN_RESAMPLED = 5


@dataclass(frozen=True, slots=True)
class Basis:
    """The images that a figure is about, by side: an AUC and a mean over labels have several.

    `hits` are the images that count, of a share. Where the figure isn't bounded by 0 and 1, or
    isn't made of shares, there is no exact interval (`has_exact` is false).
    """

    sides: tuple[Mask, ...]
    hits: Mask | None = None
    has_exact: bool = True

    def count(self, groups: Ints) -> tuple[int, int]:
        """Images and groups of the side that has fewest groups; `groups` are numbers (N)."""
        sides = [side for side in self.sides if side.any()]
        if not sides:
            return 0, 0
        found = [(int(side.sum()), len(np.unique(groups[side]))) for side in sides]
        return min(found, key=lambda one: (one[1], one[0]))


def make_share(hits: int, count: int) -> Metric:
    """A share of `count` cases of which none hangs on another."""
    value = hits / count if count else 0.0
    low, high = bound_share(value, count)
    return Metric(value, low, high, images=count, asked=count, groups=count)


def rest_metrics(
    metrics: Mapping[str, Metric], bases: Mapping[str, Basis], groups: Sequence[str]
) -> dict[str, Metric]:
    """The figures with what they rest on, and wider where resampling whole groups says too little.

    A group counts as one case there, so images of one patient don't narrow an interval.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    return {
        name: _rest(metric, bases[name], numbers) if name in bases else metric
        for name, metric in metrics.items()
    }


def _rest(metric: Metric, basis: Basis, groups: Ints) -> Metric:
    asked, cases = basis.count(groups)
    found = replace(metric, asked=asked, groups=cases)
    if not (basis.has_exact and cases and _is_poor(metric, basis, groups)):
        return found
    low, high = bound_share(min(max(metric.value, 0.0), 1.0), cases)
    return replace(found, low=min(metric.low, low), high=max(metric.high, high))


def _is_poor(metric: Metric, basis: Basis, groups: Ints) -> bool:
    """Whether resamples hardly vary: all are the same, or few groups could make them differ."""
    if metric.low == metric.high:
        return True
    if basis.hits is None:
        return False
    (side,) = basis.sides
    parts = (side & basis.hits, side & ~basis.hits)
    return any(len(np.unique(groups[part])) < MIN_RESAMPLED for part in parts)


def subtract(first: Metric, second: Metric) -> Metric:
    """The difference of two figures of different images (MOVER: Donner and Zou 2012)."""
    gap = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Metric(
        value=gap,
        low=gap - below,
        high=gap + above,
        images=first.images,
        asked=min(first.asked, second.asked),
        groups=min(first.groups, second.groups),
    )


def list_call_bases(targets: Ints, given: Ints, labels: Sequence[str]) -> dict[str, Basis]:
    """What the figures of `score_matrices` rest on, for true and given label indices (N)."""
    everything = np.ones(len(targets), bool)
    is_right = np.asarray(targets == given, bool)
    actual = [np.asarray(targets == row, bool) for row in range(len(labels))]
    called = [np.asarray(given == row, bool) for row in range(len(labels))]
    bases = {
        "accuracy": Basis((everything,), is_right),
        "balanced_accuracy": Basis(tuple(actual)),
        "macro_precision": Basis(tuple(called)),
        "macro_f1": Basis(tuple(actual)),
        "macro_specificity": Basis(tuple(~one for one in actual)),
    }
    for row, label in enumerate(labels):
        bases |= {
            f"recall.{label}": Basis((actual[row],), is_right),
            f"precision.{label}": Basis((called[row],), is_right),
            f"f1.{label}": Basis((actual[row],)),
            f"specificity.{label}": Basis((~actual[row],), ~called[row]),
        }
    return bases


def list_ranking_bases(targets: Ints, labels: Sequence[str]) -> dict[str, Basis]:
    """What AUC and average precision rest on, by label and as means over those that occur."""
    sides = {
        label: (np.asarray(targets == row, bool), np.asarray(targets != row, bool))
        for row, label in enumerate(labels)
    }
    every = tuple(side for both in sides.values() if both[0].any() for side in both)
    bases = {}
    for name in ("auc", "average_precision"):
        bases[f"macro_{name}"] = Basis(every)
        bases |= {f"{name}.{label}": Basis(both) for label, both in sides.items()}
    return bases


def rename_bases(bases: Mapping[str, Basis], prefix: str) -> dict[str, Basis]:
    """The bases with a word before each name."""
    return {f"{prefix}{name}": basis for name, basis in bases.items()}


def narrow_bases(bases: Mapping[str, Basis], names: Iterable[str], among: Mask) -> dict[str, Basis]:
    """Some of the bases, of the images among `among` alone."""
    return {
        name: replace(bases[name], sides=tuple(side & among for side in bases[name].sides))
        for name in names
    }
