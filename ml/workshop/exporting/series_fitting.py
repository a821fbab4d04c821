"""Fits a bundle's rule for whole series on validation slices; needs the training requirements."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ml.series import (
    NONE,
    REAL,
    SYNTHETIC,
    Scores,
    SeriesCounts,
    SeriesLine,
    SeriesRule,
    score_window,
    to_log_odds,
)
from ml.workshop.datasets import Example
from ml.workshop.datasets.series import SHORTEST, find_series
from ml.workshop.task_config import DecisionConfig

# How many neighbours may be asked for. A made-up series may hold a single diseased slice.
NEIGHBOURS = {REAL: (2, 3, 4, 5), SYNTHETIC: (1, 2, 3)}
# Lengths at which false alarms are counted: each about a half more than the one before.
LENGTH_STEP = 1.5
# Stretches of each length that are cut out of a normal series.
CUTS = 20
MIN_DISEASED = 3
# Synthetic series: the parts of the groups that they are drawn from, how many of each label in each
# part, and how long they are.
PARTS = 5
DRAWN = 40
LENGTHS = (10, 40)
SEED = 17
# Inverse strength of the penalty on the calibration: some ten series can't prove a steep one.
INVERSE_PENALTY = 1.0
# Log odds by which a point lies above the score that it must not reach.
MARGIN = 1e-6


Cut = Callable[[Scores, int], Scores]
"""Gives the scores of a series' stretches of a length."""


@dataclass(frozen=True, slots=True)
class ScoredSeries:
    """One series: its group, its label, and each disease's log odds (n) in order of position.

    Not-a-number stands where a slice was left out.
    """

    group: str
    label: str
    scores: Mapping[str, Scores]


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices (N) that series are made of: examples, probabilities (N x K), which are answered.

    `labels` (K) are those of the probabilities.
    """

    examples: Sequence[Example]
    probabilities: NDArray[np.float64]
    is_answered: NDArray[np.bool_]
    labels: Sequence[str]
    normal_label: str

    def score(self, rows: Sequence[int]) -> dict[str, Scores]:
        """Each disease's log odds (n) in these rows, not-a-number where one isn't answered."""
        taken = self.probabilities[list(rows)]
        known = np.where(self.is_answered[list(rows), np.newaxis], taken, np.nan)
        return {
            label: to_log_odds(known[:, place])
            for place, label in enumerate(self.labels)
            if label != self.normal_label
        }


def fit_series_rule(
    kind: str, series: Sequence[ScoredSeries], normal_label: str, *, false_alarms: float
) -> SeriesRule:
    """The rule by which at most the share `false_alarms` of normal series is called diseased.

    The number of neighbours is the one with the best mean of sensitivity and specificity by rules
    that were fitted without the series judged. Too few series (of normal ones as many as the share
    needs to be seen at all) give the rule `none`, and a series isn't answered.
    """
    diseases = sorted({name for one in series for name in one.scores})
    normal = [one for one in series if one.label == normal_label]
    counts = [sum(one.label == disease for one in series) for disease in diseases]
    if len(normal) * false_alarms < 1 or min(counts, default=0) < MIN_DISEASED:
        return SeriesRule(kind=NONE, false_alarms=false_alarms)
    rules = [
        _fit_rule(kind, series, normal_label, diseases, neighbours, false_alarms)
        for neighbours in NEIGHBOURS[kind]
    ]
    return max(rules, key=_rate)


def _rate(rule: SeriesRule) -> float:
    """Mean of sensitivity and specificity over the diseases; of equal ones the first is taken."""
    return float(
        np.mean(
            [
                one.found / one.diseased + 1 - one.false_alarms / one.normal
                for one in rule.validation.values()
            ]
        )
    )


def _fit_rule(
    kind: str,
    series: Sequence[ScoredSeries],
    normal_label: str,
    diseases: Sequence[str],
    neighbours: int,
    false_alarms: float,
) -> SeriesRule:
    return SeriesRule(
        kind=kind,
        neighbours=neighbours,
        false_alarms=false_alarms,
        longest=max(_count_answered(one) for one in series),
        lines={
            disease: fit_line(series, disease, normal_label, neighbours, false_alarms=false_alarms)
            for disease in diseases
        },
        validation={
            disease: _count_crossed(series, disease, normal_label, neighbours, false_alarms)
            for disease in diseases
        },
    )


def _count_answered(series: ScoredSeries) -> int:
    return int((~np.isnan(next(iter(series.scores.values())))).sum())


def _count_crossed(
    series: Sequence[ScoredSeries],
    disease: str,
    normal_label: str,
    neighbours: int,
    false_alarms: float,
) -> SeriesCounts:
    """Whole series by lines that were fitted without the group of the one that is judged."""
    # The lines that are fitted without a series share all the others.
    kept: dict[tuple[int, int], Scores] = {}

    def cut(scores: Scores, length: int) -> Scores:
        key = id(scores), length
        if key not in kept:
            kept[key] = _score_cuts(scores, length, neighbours)
        return kept[key]

    judged = [one for one in series if one.label in (disease, normal_label)]
    found: dict[str, list[bool]] = {disease: [], normal_label: []}
    lines: dict[str, SeriesLine] = {}
    for one in judged:
        if one.group not in lines:
            others = [other for other in series if other.group != one.group]
            normal = _scores_of(others, disease, normal_label)
            lines[one.group] = _fit_points(normal, cut, false_alarms)
        point = lines[one.group].point(_count_answered(one))
        found[one.label].append(score_window([one.scores[disease]], neighbours) >= point)
    return SeriesCounts(
        normal=len(found[normal_label]),
        false_alarms=sum(found[normal_label]),
        diseased=len(found[disease]),
        found=sum(found[disease]),
    )


def fit_line(
    series: Sequence[ScoredSeries],
    disease: str,
    normal_label: str,
    neighbours: int,
    *,
    false_alarms: float,
) -> SeriesLine:
    """A disease's operating points by the number of slices, and the calibration above them.

    At each of several lengths, stretches of the normal series are scored; the slope is that of the
    points that would let the share `false_alarms` of them through, and the line lies so high that
    it lets no more through at any length.
    """

    cut = partial(_score_cuts, neighbours=neighbours)
    line = _fit_points(_scores_of(series, disease, normal_label), cut, false_alarms)
    excess = [
        score_window([one.scores[disease]], neighbours) - line.point(_count_answered(one))
        for one in series
    ]
    offset, steepness = _calibrate(
        np.asarray(excess), np.array([one.label == disease for one in series])
    )
    return replace(line, offset=offset, steepness=steepness)


def _scores_of(series: Sequence[ScoredSeries], disease: str, label: str) -> list[Scores]:
    """A disease's log odds in the series of a label."""
    return [one.scores[disease] for one in series if one.label == label]


def _fit_points(normal: Sequence[Scores], cut: Cut, false_alarms: float) -> SeriesLine:
    """The line of the operating points alone; what lies above isn't calibrated yet."""
    lengths = _choose_lengths(max(len(one) for one in normal))
    points = np.array(
        [_find_point([cut(one, length) for one in normal], false_alarms) for length in lengths]
    )
    logs = np.log(lengths)
    slope = max(0.0, float(np.polyfit(logs, points, 1)[0])) if len(lengths) > 1 else 0.0
    intercept = float(np.max(points - slope * logs)) + MARGIN
    return SeriesLine(intercept=intercept, slope=slope, offset=0.0, steepness=1.0)


def _choose_lengths(longest: int) -> list[int]:
    lengths = [SHORTEST]
    while lengths[-1] * LENGTH_STEP <= longest:
        lengths.append(int(np.ceil(lengths[-1] * LENGTH_STEP)))
    return sorted({min(length, longest) for length in (*lengths, longest)})


def _find_point(cuts: Sequence[Scores], false_alarms: float) -> float:
    """The log odds that at most that share of the normal series reach, in stretches of a length.

    Every series counts once, however many stretches it gives.
    """
    scores = np.concatenate(cuts)
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in cuts])
    order = np.argsort(scores)[::-1]
    passed = np.cumsum(weights[order]) / weights.sum()
    # The highest score whose passing would be one too many.
    first = int(np.argmax(passed > false_alarms + 1e-9))
    return float(scores[order][first])


def _score_cuts(series: Scores, length: int, neighbours: int) -> Scores:
    """`score_window` of stretches of a series (n), so many that they begin evenly all over it."""
    length = min(length, len(series))
    width = min(neighbours, length)
    views = np.lib.stride_tricks.sliding_window_view
    minima = views(np.where(np.isnan(series), -np.inf, series), width).min(axis=1)
    peaks = views(minima, length - width + 1).max(axis=1)
    starts = np.unique(np.linspace(0, len(series) - length, CUTS).astype(int))
    if np.isfinite(peaks[starts]).all():
        return np.asarray(peaks[starts])
    # Where slices were left out, no row may be long enough.
    return np.array(
        [
            peaks[start]
            if np.isfinite(peaks[start])
            else score_window([series[start : start + length]], neighbours)
            for start in starts
            if not np.isnan(series[start : start + length]).all()
        ]
    )


def _calibrate(excess: NDArray[np.float64], is_diseased: NDArray[np.bool_]) -> tuple[float, float]:
    """Offset and steepness (at least 0) of the log odds of disease by the excess (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=INVERSE_PENALTY)
    model.fit(excess[:, np.newaxis], is_diseased)
    return float(model.intercept_[0]), max(float(model.coef_[0, 0]), 1e-3)


def gather_series(slices: Slices) -> list[ScoredSeries]:
    """The real series among the slices, of which any is answered."""
    return [
        ScoredSeries(group=one.group, label=one.label, scores=slices.score(one.rows))
        for one in find_series(slices.examples, slices.labels, slices.normal_label)
        if slices.is_answered[list(one.rows)].any()
    ]


def draw_series(slices: Slices) -> list[ScoredSeries]:
    """Made-up series: runs of normal slices of different groups, with one group's disease or none.

    The groups of images are divided into parts first, and a series is drawn from one part alone:
    its `group` is that part. As many normal series are drawn as diseased ones of each kind.
    """
    rng = np.random.default_rng(SEED)
    names = sorted({example.group for example in slices.examples})
    parts = dict(zip(names, rng.permutation(len(names)) % PARTS, strict=True))
    found = []
    for part in range(PARTS):
        groups: dict[str, dict[str, list[int]]] = {label: {} for label in slices.labels}
        for row in np.flatnonzero(slices.is_answered).tolist():
            example = slices.examples[row]
            if parts[example.group] == part:
                groups[example.label].setdefault(example.group, []).append(row)
        for label in slices.labels:
            for members in _draw_runs(groups, label, slices.normal_label, rng):
                found.append(ScoredSeries(f"part {part}", label, slices.score(members)))
    return found


def _draw_runs(
    groups: Mapping[str, Mapping[str, Sequence[int]]],
    label: str,
    normal_label: str,
    rng: np.random.Generator,
) -> Iterator[list[int]]:
    """The rows of each series of a label, a slice of as many normal groups as it is long."""
    normal, own = groups[normal_label], groups[label]
    for _ in range(DRAWN if normal and own else 0):
        length = min(int(rng.integers(LENGTHS[0], LENGTHS[1] + 1)), len(normal))
        names = rng.choice(sorted(normal), length, replace=False)
        members = [int(rng.choice(normal[name])) for name in names]
        if label != normal_label:
            place = int(rng.integers(length + 1))
            members[place:place] = own[rng.choice(sorted(own))]
        yield members


def choose_series_rule(decision: DecisionConfig, slices: Slices) -> SeriesRule | None:
    """The rule that a task asks for, fitted on validation slices.

    None where the task says nothing of series.
    """
    kind = decision.series
    if not kind:
        return None
    if kind == NONE:
        return SeriesRule(kind=NONE)
    series = {REAL: gather_series, SYNTHETIC: draw_series}[kind](slices)
    return fit_series_rule(
        kind, series, slices.normal_label, false_alarms=decision.series_false_alarms
    )
