"""The rule for whole series: what it is fitted on, and what it promises on new ones."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ml.series import (
    NONE,
    REAL,
    SYNTHETIC,
    SeriesCounts,
    score_series,
    score_window,
    to_log_odds,
)
from ml.workshop.datasets import Example
from ml.workshop.exporting.series_fitting import (
    ScoredSeries,
    Slices,
    draw_series,
    fit_line,
    fit_series_rule,
    gather_series,
)

LABELS = ("bleeding", "none")


def make_series(
    rng: np.random.Generator, count: int, label: str, *, slices: int = 30, ill: int = 5
) -> list[ScoredSeries]:
    """Series whose normal slices have exponential tails in log odds, as the line supposes."""
    found = []
    for number in range(count):
        scores = rng.exponential(1.0, slices) - 4
        if label == "bleeding":
            place = int(rng.integers(slices - ill))
            scores[place : place + ill] += 5
        found.append(ScoredSeries(f"{label}{number}", label, {"bleeding": scores}))
    return found


def test_fit_line_finds_the_points_of_exponential_tails() -> None:
    rng = np.random.default_rng(3)
    series = [*make_series(rng, 800, "none"), *make_series(rng, 50, "bleeding")]
    line = fit_line(series, "bleeding", "none", 1, false_alarms=0.1)
    # The largest of n has its quantile 1 - a at ln(n) - ln(-ln(1 - a)).
    for slices in (5, 15, 30):
        expected = np.log(slices) - np.log(-np.log(0.9)) - 4
        assert line.point(slices) == pytest.approx(expected, abs=0.35)
    assert line.slope == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("slices", [4, 12, 30, 40])
def test_fit_line_keeps_the_false_alarms_on_new_series_of_any_length(slices: int) -> None:
    rng = np.random.default_rng(4)
    series = [*make_series(rng, 300, "none", slices=40), *make_series(rng, 50, "bleeding")]
    line = fit_line(series, "bleeding", "none", 2, false_alarms=0.1)
    new = make_series(rng, 1000, "none", slices=slices)
    alarms = np.mean(
        [score_window([one.scores["bleeding"]], 2) >= line.point(slices) for one in new]
    )
    assert 0.02 < alarms < 0.15


def test_fit_series_rule_prefers_neighbours_when_lone_slices_are_wrong() -> None:
    rng = np.random.default_rng(5)
    series = [*make_series(rng, 60, "none"), *make_series(rng, 30, "bleeding")]
    for one in series:
        one.scores["bleeding"][int(rng.integers(30))] = 6.0
    rule = fit_series_rule(REAL, series, "none", false_alarms=0.1)
    counts = rule.validation["bleeding"]
    assert rule.neighbours in (3, 4, 5)
    assert counts == dataclasses.replace(counts, normal=60, diseased=30)
    assert counts.false_alarms <= 12
    assert counts.found >= 27
    single = fit_line(series, "bleeding", "none", 1, false_alarms=0.1)
    lone = [score_window([one.scores["bleeding"]], 1) >= single.point(30) for one in series]
    assert sum(lone[60:]) < counts.found


def test_fit_series_rule_calibrates_the_probability_of_a_series() -> None:
    rng = np.random.default_rng(6)
    series = [*make_series(rng, 60, "none"), *make_series(rng, 30, "bleeding")]
    rule = fit_series_rule(REAL, series, "none", false_alarms=0.1)
    new = [*make_series(rng, 400, "none"), *make_series(rng, 200, "bleeding")]
    found = [
        score_series(rule, {"bleeding": [1 / (1 + np.exp(-one.scores["bleeding"]))]}, 30, "none")
        for one in new
    ]
    said = np.array([one["bleeding"] for one in found])
    assert said.mean() == pytest.approx(1 / 3, abs=0.08)
    for low, high in ((0.0, 0.3), (0.7, 1.0)):
        inside = (said >= low) & (said <= high)
        share = np.mean([one.label == "bleeding" for one in np.array(new, object)[inside]])
        assert share == pytest.approx(said[inside].mean(), abs=0.12)


@pytest.mark.parametrize(("normal", "ill", "share"), [(9, 20, 0.1), (4, 20, 0.2), (30, 2, 0.1)])
def test_fit_series_rule_answers_no_series_when_too_few_were_seen(
    normal: int, ill: int, share: float
) -> None:
    rng = np.random.default_rng(7)
    series = [*make_series(rng, normal, "none"), *make_series(rng, ill, "bleeding")]
    assert fit_series_rule(REAL, series, "none", false_alarms=share).kind == NONE


def example(group: str, label: str, **facts: str) -> Example:
    return Example(Path("x"), "x", label, label, "s", group, "val", "", facts)


def test_gather_series_orders_by_position_and_not_by_arrival() -> None:
    examples = [
        example("a", "none", order="10"),
        example("a", "bleeding", order="9"),
        example("b", "none", order="1", patient_label="bleeding"),
        example("b", "none", order="2", patient_label="bleeding"),
        example("c", "none", order="1"),
        example("d", "none"),
        example("a", "none", order="2"),
    ]
    scores = np.array([[0.1 * (row + 1), 1 - 0.1 * (row + 1)] for row in range(7)])
    answered = np.array([True] * 6 + [False])
    found = gather_series(Slices(examples, scores, answered, LABELS, "none"))
    assert [(one.group, one.label) for one in found] == [("a", "bleeding"), ("b", "bleeding")]
    expected = [np.nan, *to_log_odds(np.array([0.2, 0.1]))]
    np.testing.assert_allclose(found[0].scores["bleeding"], expected)


def test_draw_series_draws_each_from_one_part_of_the_groups() -> None:
    examples = [example(f"g{row}", LABELS[row % 3 == 0 or row > 20]) for row in range(60)]
    scores = np.array([[0.9, 0.1] if one.label == "bleeding" else [0.05, 0.95] for one in examples])
    series = draw_series(Slices(examples, scores, np.ones(60, bool), LABELS, "none"))
    assert {one.label for one in series} == set(LABELS)
    assert {one.group for one in series} == {f"part {part}" for part in range(5)}
    for one in series:
        ill = (one.scores["bleeding"] > 0).sum()
        assert ill == (one.label == "bleeding")
    rule = fit_series_rule(SYNTHETIC, series, "none", false_alarms=0.1)
    assert rule.neighbours == 1
    assert rule.validation["bleeding"] == SeriesCounts(200, 0, 200, 200)
