"""A whole series is not the worst of its slices: when slices together speak of a disease."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

REAL, SYNTHETIC, NONE = "real", "synthetic", "none"
KINDS = (REAL, SYNTHETIC, NONE)
# Log odds beyond these are as good as certain; a probability of 0 or 1 has none.
MAX_LOG_ODDS = 12.0
# A series of so many times the longest that a rule was fitted on is beyond what it knows.
LEEWAY = 1.5

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """A disease's operating point for n slices, in log odds, and what an excess over it means.

    The point is `intercept + slope * ln(n)`: the largest of n scores whose tail is exponential
    grows so. The disease's odds are `exp(offset + steepness * excess)`.
    """

    intercept: float
    slope: float
    offset: float
    steepness: float

    def point(self, slices: int) -> float:
        """The operating point of `slices` answered slices, in log odds."""
        return self.intercept + self.slope * float(np.log(max(slices, 1)))

    @property
    def threshold(self) -> float:
        """The calibrated probability of a series exactly at its operating point, whatever n."""
        return float(1 / (1 + np.exp(-self.offset)))


@dataclass(frozen=True, slots=True)
class SeriesCounts:
    """Whole validation series by a rule fitted without them: false alarms and found ones."""

    normal: int
    false_alarms: int
    diseased: int
    found: int


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """How the slices of a series become one answer.

    `kind` is what it was fitted on: `real` series, `synthetic` ones, or `none`, and then only
    single slices are answered. A disease is said if `neighbours` answered slices in a row, in the
    order of their position, reach its line's point, which was set so that at most the share
    `false_alarms` of whole normal series, of up to `longest` slices, do. `validation` is by
    disease.
    """

    kind: str
    neighbours: int = 1
    false_alarms: float = 0.0
    longest: int = 0
    lines: dict[str, SeriesLine] = field(default_factory=dict)
    validation: dict[str, SeriesCounts] = field(default_factory=dict)

    @property
    def thresholds(self) -> dict[str, float]:
        """The calibrated probability from which a series is given each disease."""
        return {label: line.threshold for label, line in self.lines.items()}

    @property
    def most_slices(self) -> int:
        """Slices of the longest study that the rule is used for."""
        return int(LEEWAY * self.longest)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a study's images say what its answer says.

    `label` is the one given or suspected, `images` all that were read, `answered` those that
    weren't left out, `agreeing` those that say so, `neighbouring` how many of these follow one
    another without a gap at most. `needed` neighbours are asked for; 0 where a single image
    decides, each showing something of its own. `operating_points` are those of the diseases in a
    series, where they are others than a single image's.
    """

    label: str
    images: int
    answered: int
    agreeing: int
    neighbouring: int
    needed: int
    operating_points: dict[str, float] = field(default_factory=dict)


def to_log_odds(probabilities: Scores) -> Scores:
    """Log odds of probabilities, bounded."""
    limit = 1 / (1 + np.exp(MAX_LOG_ODDS))
    bounded = np.clip(probabilities, limit, 1 - limit)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)


def score_window(series: Sequence[Scores], neighbours: int) -> float:
    """The largest log odds that so many slices in a row all reach; not-a-number left out is a gap.

    `series` are the log odds of a disease (n each) in order of position. Where no row is that long,
    the longest there is has to do. Raises ValueError without any answered slice.
    """
    runs = [run for one in series for run in _runs(one)]
    if not runs:
        raise ValueError("no slice was answered")
    longest = max(len(run) for run in runs)
    width = min(neighbours, longest)
    best = -np.inf
    for run in runs:
        if len(run) >= width:
            windows = np.lib.stride_tricks.sliding_window_view(run, width)
            best = max(best, float(windows.min(axis=1).max()))
    return best


def _runs(scores: Scores) -> list[Scores]:
    """The stretches of a series without a slice that was left out."""
    known = np.flatnonzero(~np.isnan(scores))
    if not known.size:
        return []
    breaks = np.flatnonzero(np.diff(known) > 1) + 1
    return [scores[part] for part in np.split(known, breaks)]


def count_agreeing(is_agreeing: Sequence[NDArray[np.bool_]]) -> tuple[int, int]:
    """How many slices agree, and how many of them follow one another at most."""
    total = sum(int(one.sum()) for one in is_agreeing)
    longest = 0
    for one in is_agreeing:
        ends = np.flatnonzero(np.diff(np.concatenate([[False], one, [False]]).astype(np.int8)))
        longest = max([longest, *(ends[1::2] - ends[::2]).tolist()])
    return total, int(longest)


def score_series(
    rule: SeriesRule, series: Mapping[str, Sequence[Scores]], slices: int, normal_label: str
) -> dict[str, float]:
    """Calibrated probabilities of a study's series, which sum to 1.

    `series` are each disease's probabilities in the slices (n each, not-a-number where one was left
    out), `slices` how many of them were answered.
    """
    odds = {}
    for label, line in rule.lines.items():
        found = score_window([to_log_odds(one) for one in series[label]], rule.neighbours)
        excess = found - line.point(slices)
        odds[label] = float(np.exp(np.clip(line.offset + line.steepness * excess, -30, 30)))
    total = 1 + sum(odds.values())
    return {**{label: value / total for label, value in odds.items()}, normal_label: 1 / total}


def describe_tally(tally: Tally, words: str, *, is_normal: bool) -> str:
    """The tally as a sentence for staff; `words` are what they call the label."""
    said = "are without a finding" if is_normal else f"speak of {words}"
    counted = f"{tally.agreeing} of {tally.images} images {said}"
    left_out = tally.images - tally.answered
    if left_out:
        counted += f" ({left_out} left out)"
    if tally.needed == 0:
        return f"{counted}. One image decides: each may show another lesion, side or view."
    needed = f"{tally.needed} in a row are needed for a finding"
    if is_normal:
        return f"{counted}; {needed}."
    return f"{counted}, {tally.neighbouring} of them in a row; {needed}."
