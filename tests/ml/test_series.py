"""Whole series: neighbours that agree, points that rise with the number of slices, and refusals."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ml.abstention import Abstention
from ml.aggregation import Outcome
from ml.bundles import find_task_bundle
from ml.errors import BundleInvalid
from ml.manifest import Manifest, read_manifest, write_manifest
from ml.series import (
    NONE,
    REAL,
    SeriesLine,
    SeriesRule,
    count_agreeing,
    describe_tally,
    score_series,
    score_window,
)
from ml.study import arrange, check_series, conclude_study, rule_of, settle_hints
from ml.workshop.commands.options import BUNDLES_DIR

LABELS = ("bleeding", "none")
NAN = float("nan")
LINE = SeriesLine(intercept=0.0, slope=0.5, offset=-0.5, steepness=2.0)
RULE = SeriesRule(kind=REAL, neighbours=3, longest=40, lines={"bleeding": LINE})


def manifest_of(task: str) -> Manifest:
    return read_manifest(find_task_bundle(BUNDLES_DIR, task))[0]


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """A manifest of two labels with the rule above."""
    brain = manifest_of("brain-mri")
    operating = dataclasses.replace(brain.operating, thresholds={"bleeding": 0.4}, bands={})
    return dataclasses.replace(
        brain, labels=LABELS, normal_label="none", operating=operating, series=RULE, conformal=None
    )


def rows(*scores: float | None) -> list[Mapping[str, float] | None]:
    return [None if one is None else {"bleeding": one, "none": 1 - one} for one in scores]


CLEAR = [0.02] * 8


@pytest.mark.parametrize(
    ("series", "neighbours", "expected"),
    [
        ([[1.0, 5.0, 2.0, 3.0]], 1, 5.0),
        ([[1.0, 5.0, 2.0, 3.0]], 2, 2.0),
        ([[1.0, 5.0, 2.0, 3.0]], 3, 2.0),
        # A slice that was left out parts its neighbours.
        ([[4.0, NAN, 4.0, 1.0]], 2, 1.0),
        ([[4.0, NAN, 4.0]], 2, 4.0),
        # Slices of two series are no neighbours.
        ([[4.0], [4.0, 1.0]], 2, 1.0),
        ([[NAN, NAN], [1.0]], 3, 1.0),
    ],
)
def test_score_window_is_what_so_many_slices_in_a_row_reach(
    series: list[list[float]], neighbours: int, expected: float
) -> None:
    assert score_window([np.array(one) for one in series], neighbours) == expected


def test_score_window_refuses_when_no_slice_was_answered() -> None:
    with pytest.raises(ValueError, match="no slice"):
        score_window([np.array([NAN, NAN])], 2)


def test_count_agreeing_counts_all_and_the_longest_row() -> None:
    one = np.array([True, True, False, True], bool)
    other = np.array([True, True, True], bool)
    assert count_agreeing([one, other]) == (6, 3)
    assert count_agreeing([np.zeros(4, bool)]) == (0, 0)


def test_line_asks_for_more_when_there_are_more_slices() -> None:
    points = [LINE.point(count) for count in (1, 2, 20, 200)]
    assert points == sorted(points)
    assert points[0] == 0
    high = np.full(3, 0.95)
    probabilities = [
        score_series(RULE, {"bleeding": [high]}, count, "none")["bleeding"] for count in (3, 30)
    ]
    assert probabilities[0] > probabilities[1]


def test_score_series_is_at_the_threshold_exactly_at_the_point() -> None:
    at_point = 1 / (1 + np.exp(-LINE.point(9)))
    found = score_series(RULE, {"bleeding": [np.full(9, at_point)]}, 9, "none")
    assert found["bleeding"] == pytest.approx(LINE.threshold)
    assert sum(found.values()) == pytest.approx(1)


def test_conclude_study_takes_no_single_slice_for_a_disease(manifest: Manifest) -> None:
    lone = conclude_study(manifest, [rows(*CLEAR, 0.999, *CLEAR)])
    assert (lone.outcome, lone.label) == ("no_finding", "none")
    several = conclude_study(manifest, [rows(*CLEAR, 0.99, 0.999, 0.98, *CLEAR, 0.99)])
    assert (several.outcome, several.label) == ("finding", "bleeding")
    tally = several.tally
    assert tally is not None
    assert (tally.images, tally.agreeing, tally.neighbouring, tally.needed) == (20, 4, 3, 3)
    assert several.deciding_frame == 9
    words = describe_tally(tally, "bleeding", is_normal=False)
    assert words.startswith("4 of 20 images speak of bleeding, 3 of them in a row")


def test_conclude_study_shows_a_slice_among_neighbours_when_a_lone_one_scores_higher(
    manifest: Manifest,
) -> None:
    found = conclude_study(manifest, [rows(0.9999, *CLEAR, 0.98, 0.99, 0.98)])
    assert (found.label, found.deciding_frame) == ("bleeding", 10)


def test_conclude_study_answers_a_single_slice_as_before(manifest: Manifest) -> None:
    found = conclude_study(manifest, [rows(0.55)])
    assert (found.label, found.tally) == ("bleeding", None)
    assert found.probabilities["bleeding"] == pytest.approx(0.55)
    flagged = conclude_study(manifest, [rows(0.45)])
    assert (flagged.outcome, flagged.suspected_label) == (Outcome.FLAGGED, "bleeding")


def test_conclude_study_counts_the_images_when_a_task_is_of_views() -> None:
    skin = manifest_of("skin-lesion")
    disease = next(name for name in skin.operating.thresholds)
    nevus = {label: float(label == skin.normal_label) for label in skin.labels}
    lesion = {label: float(label == disease) for label in skin.labels}
    found = conclude_study(skin, [[nevus, lesion, None, nevus]])
    assert (found.label, found.deciding_frame) == (disease, 1)
    tally = found.tally
    assert tally is not None
    assert (tally.images, tally.answered, tally.agreeing, tally.needed) == (4, 3, 1, 0)
    words = describe_tally(tally, "melanoma", is_normal=False)
    assert words.startswith("1 of 4 images speak of melanoma (1 left out). One image decides")
    assert check_series(skin, [[nevus, lesion, None, nevus]]) is None


@pytest.mark.parametrize("task", ["brain-mri", "lung-ct"])
def test_silent_manifest_of_slices_answers_single_ones_alone(task: str) -> None:
    shipped = dataclasses.replace(manifest_of(task), series=None)
    found = rule_of(shipped)
    assert found is not None
    assert found.kind == NONE
    label = dict.fromkeys(shipped.labels, 0.5)
    assert check_series(shipped, [[label]]) is None
    # The last of a series whose other slices were refused is no single slice.
    for series in ([[label] * 19], [[label], [label]], [[None] * 18 + [label]]):
        refusal = check_series(shipped, series)
        assert refusal is not None
        assert refusal.code == "series_not_validated"
        assert "single slices" in refusal.reason


@pytest.mark.parametrize("task", ["chest-xray", "skin-lesion", "retina", "body-part"])
def test_silent_manifest_of_views_answers_several(task: str) -> None:
    shipped = manifest_of(task)
    assert rule_of(shipped) is None
    assert check_series(shipped, [[dict.fromkeys(shipped.labels, 0.5)] * 3]) is None


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        ([0.1] * 61, "up to 40 slices"),
        ([0.1] * 4 + [None] * 5, "Only 4 of 9"),
    ],
)
def test_check_series_refuses_what_the_rule_was_not_fitted_on(
    manifest: Manifest, scores: list[float | None], word: str
) -> None:
    refusal = check_series(manifest, [rows(*scores)])
    assert refusal is not None
    assert word in refusal.reason
    assert check_series(manifest, [rows(*[0.1] * 60)]) is None


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([], []),
        ([3.0, 1.0, 2.0], [[1, 2, 0]]),
        ([-5.0, None, 2.0], [[0, 1, 2]]),
        ([None, None], [[0, 1]]),
        # Two echoes, one behind the other and interleaved: no slice is its own neighbour.
        ([2.0, 1.0, 2.0, 1.0], [[1, 0], [3, 2]]),
        ([1.0, 1.001, 2.0, 2.0, 3.0], [[0, 2, 4], [1, 3]]),
    ],
)
def test_arrange_orders_by_position_and_parts_what_shows_a_slice_again(
    positions: list[float | None], expected: list[list[int]]
) -> None:
    assert arrange(positions) == expected


def test_settle_hints_says_of_a_series_only_what_fits_most_of_it() -> None:
    down = Abstention("unlike_training", "Unlike. It looks upside down.", "It looks upside down.")
    plain = Abstention("unlike_training", "Unlike.")
    assert settle_hints([down, None, None]) == [plain, None, None]
    assert settle_hints([down, down, None]) == [down, down, None]
    assert settle_hints([down]) == [down]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "guessed"},
        {"lines": {}},
        {"lines": {"bleeding": LINE, "none": LINE}},
        {"lines": {"bleeding": dataclasses.replace(LINE, slope=-1.0)}},
        {"neighbours": 0},
        {"kind": NONE},
    ],
)
def test_read_manifest_refuses_a_rule_that_says_nothing_sensible(
    manifest: Manifest, tmp_path: Path, wrong: dict[str, object]
) -> None:
    codes = dict(zip(LABELS, manifest.codes.values(), strict=False))
    sound = dataclasses.replace(manifest, codes=codes)
    write_manifest(sound, tmp_path)
    assert read_manifest(tmp_path)[0].series == RULE
    write_manifest(dataclasses.replace(sound, series=dataclasses.replace(RULE, **wrong)), tmp_path)
    with pytest.raises(BundleInvalid, match="series"):
        read_manifest(tmp_path)
