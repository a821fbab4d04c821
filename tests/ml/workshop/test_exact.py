"""Intervals where resampling says nothing, and what each figure rests on."""

import numpy as np
import pytest

from ml.intervals import bound_by_groups, bound_share, wilson
from ml.manifest import Metric
from ml.workshop.evaluation.exact import (
    Basis,
    list_call_bases,
    list_ranking_bases,
    make_share,
    subtract,
)
from ml.workshop.evaluation.metrics import bootstrap_weights, weigh_auc, weigh_share


@pytest.mark.parametrize(
    ("value", "count", "low", "high"),
    [
        # Clopper and Pearson at the ends, Wilson between: tables of Newcombe 1998.
        (1.0, 15, 0.7820, 1.0),
        (0.0, 15, 0.0, 0.2180),
        (1.0, 1, 0.025, 1.0),
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
    ],
)
def test_bound_share_gives_published_intervals(
    value: float, count: int, low: float, high: float
) -> None:
    assert bound_share(value, count) == pytest.approx((low, high), abs=1e-4)


def test_bound_by_groups_is_one_sided_and_takes_a_group_for_a_case() -> None:
    is_hit = np.arange(148) < 15
    alone = bound_by_groups(is_hit, [f"g{n}" for n in range(148)])
    # An end of a one-sided interval of 95 % is one of a two-sided of 90 %.
    assert alone == pytest.approx(wilson(15, 148, z=1.6449))
    assert alone[0] > bound_share(15 / 148, 148)[0]
    assert alone[1] < bound_share(15 / 148, 148)[1]
    twice = bound_by_groups(np.tile(is_hit, 2), [f"g{n % 148}" for n in range(296)])
    assert twice == pytest.approx(alone)


def score_share(hits: list[bool], groups: list[str]) -> Metric:
    is_hit = np.array(hits)
    everything = np.ones(len(hits), bool)
    return bootstrap_weights(
        lambda weights: {"recall": weigh_share(weights, is_hit)},
        groups,
        bases={"recall": Basis((everything,), is_hit)},
    )["recall"]


def test_bootstrap_weights_is_no_surer_of_fifteen_right_ones_than_their_count_allows() -> None:
    found = score_share([True] * 15, [f"g{n}" for n in range(15)])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.782, abs=1e-3)
    assert (found.asked, found.groups) == (15, 15)


def test_bootstrap_weights_counts_a_patient_once_however_many_images_there_are() -> None:
    few = score_share([True] * 60, [f"g{n % 3}" for n in range(60)])
    assert few.low == pytest.approx(0.025 ** (1 / 3))
    assert (few.asked, few.groups) == (60, 3)


def test_bootstrap_weights_widens_what_one_wrong_group_alone_makes_vary() -> None:
    groups = [f"g{n}" for n in range(20)]
    found = score_share([False] + [True] * 19, groups)
    assert found.low <= 0.764
    assert found.high > 0.99
    # With enough right and wrong ones the resamples stand as they are.
    many = [f"g{n}" for n in range(400)]
    is_hit = np.arange(400) % 2 == 0
    plain = bootstrap_weights(lambda w: {"recall": weigh_share(w, is_hit)}, many)["recall"]
    rested = score_share(is_hit.tolist(), many)
    assert (plain.low, plain.high) == (rested.low, rested.high)


def test_bootstrap_weights_is_no_surer_of_a_perfect_auc_than_its_smaller_side_allows() -> None:
    scores, is_positive = np.arange(40) / 40, np.arange(40) >= 30
    found = bootstrap_weights(
        lambda weights: {"auc": weigh_auc(weights, scores, is_positive)},
        [f"g{n}" for n in range(40)],
        bases={"auc": Basis((is_positive, ~is_positive))},
    )["auc"]
    assert found.value == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 10))
    assert (found.asked, found.groups) == (10, 10)


def test_list_bases_counts_the_images_that_a_figure_is_about() -> None:
    labels = ("normal", "pneumonia")
    targets, given = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    groups = np.arange(5)
    calls = list_call_bases(targets, given, labels)
    asked = {name: basis.count(groups)[0] for name, basis in calls.items()}
    assert asked["accuracy"] == 5
    assert asked["recall.normal"] == 3
    assert asked["precision.pneumonia"] == 3
    assert asked["specificity.pneumonia"] == 3
    assert asked["balanced_accuracy"] == 2
    assert list_ranking_bases(targets, labels)["auc.normal"].count(groups) == (2, 2)


def test_make_share_and_subtract_keep_what_both_are_unsure_of() -> None:
    own, foreign = make_share(95, 100), make_share(4, 40)
    drop = subtract(own, foreign)
    assert drop.value == pytest.approx(0.85)
    assert drop.low < 0.85 - (own.value - own.low)
    assert drop.high < 1.0
    assert drop.asked == 40
