"""What can't be ruled out, and when health may be said."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.aggregation import Outcome, StudyPrediction, aggregate
from ml.conformal import fit_conformal, is_cleared, list_open
from ml.limits import Clearance, Conformal
from ml.predictor import Predictor
from ml.workshop.evaluation.openness import score_openness
from tests.ml.workshop.test_evaluation import make_answers

LABELS = ("normal", "pneumonia", "tuberculosis")
SURE = Clearance(0.7, 0.1, 0.99, {}, 0.9)


def conclude(*scores: float, conformal: Conformal | None) -> StudyPrediction:
    frame = dict(zip(LABELS, scores, strict=True))
    limits = {"pneumonia": 0.5, "tuberculosis": 0.5}
    return aggregate("mean", [frame], LABELS, "normal", thresholds=limits, conformal=conformal)


@pytest.mark.parametrize(
    ("scores", "outcome", "suspected"),
    [
        ((0.9, 0.06, 0.04), Outcome.NO_FINDING, None),
        ((0.85, 0.14, 0.01), Outcome.INDETERMINATE, "pneumonia"),
        ((0.66, 0.09, 0.09), Outcome.INDETERMINATE, "pneumonia"),
        ((0.1, 0.6, 0.3), Outcome.FINDING, None),
    ],
)
def test_aggregate_says_health_only_where_nothing_is_open(
    scores: tuple[float, ...], outcome: Outcome, suspected: str | None
) -> None:
    conformal = Conformal(0.9, {"pneumonia": 0.1, "tuberculosis": 0.1}, {}, SURE)
    found = conclude(*scores, conformal=conformal)
    assert (found.outcome, found.suspected_label) == (outcome, suspected)
    assert found.confidence == "low" or found.label is not None
    if outcome == Outcome.INDETERMINATE:
        assert found.doubt


def test_aggregate_names_what_stays_open_beside_a_finding() -> None:
    conformal = Conformal(0.9, {"pneumonia": 0.1, "tuberculosis": 0.1}, {})
    found = conclude(0.1, 0.6, 0.3, conformal=conformal)
    assert found.label == "pneumonia"
    assert "tuberculosis (0.30) can't be ruled out." in found.doubt
    assert "pneumonia (0.60) can't" not in found.doubt
    plain = conclude(0.1, 0.6, 0.3, conformal=None)
    assert plain.doubt == ""
    assert plain.outcome == found.outcome


def test_aggregate_never_says_health_when_no_limit_is_safe() -> None:
    never = Conformal(0.0, {}, {}, Clearance(None, 0.1, 0.99, {}, 0.0))
    assert conclude(0.99, 0.005, 0.005, conformal=never).outcome == Outcome.INDETERMINATE
    assert not is_cleared(never, 1.0)
    assert is_cleared(Conformal(0.9, {}, {}), 0.0)


def draw_scores(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Exchangeable rows whose own label is mostly, not always, the most probable."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    logits = rng.normal(0, 1.5, (count, 3))
    logits[np.arange(count), targets] += 2
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True), targets


@pytest.mark.parametrize("coverage", [0.9, 0.8])
def test_fit_conformal_covers_each_disease_on_other_images(coverage: float) -> None:
    scores, targets = draw_scores(3000, 1)
    found = fit_conformal(
        scores,
        targets,
        ["one"] * 3000,
        LABELS,
        "normal",
        is_called_normal=scores.argmax(axis=1) == 0,
        coverage=coverage,
    )
    others, truth = draw_scores(6000, 2)
    for index, label in enumerate(LABELS[1:], 1):
        rows = others[truth == index]
        opened = [
            label in list_open(found, dict(zip(LABELS, row, strict=True)), "normal") for row in rows
        ]
        assert np.mean(opened) == pytest.approx(coverage, abs=0.03)
        assert found.validation_coverage[label] >= coverage


def test_fit_conformal_rules_nothing_out_of_a_label_with_few_images() -> None:
    scores, targets = draw_scores(40, 3)
    kept = targets != 2
    kept[np.flatnonzero(targets == 2)[:5]] = True
    found = fit_conformal(
        scores[kept],
        targets[kept],
        ["one"] * int(kept.sum()),
        LABELS,
        "normal",
        is_called_normal=np.ones(int(kept.sum()), bool),
        coverage=0.9,
    )
    assert found.lowest["tuberculosis"] == 0


def fit_clearance(sources: list[str], scores: NDArray[np.float64], min_npv: float) -> Clearance:
    found = fit_conformal(
        np.stack([scores, 1 - scores], axis=1),
        np.repeat([0, 1], 200),
        sources,
        ("normal", "tumour"),
        "normal",
        is_called_normal=np.ones(400, bool),
        coverage=0.0,
        prevalence=0.1,
        min_npv=min_npv,
    )
    assert found.clearance is not None
    return found.clearance


def test_fit_conformal_asks_for_the_predictive_value_on_every_source() -> None:
    rng = np.random.default_rng(4)
    scores = np.concatenate([rng.uniform(0.5, 1, 200), rng.uniform(0, 0.6, 200)])
    one = fit_clearance(["own"] * 400, scores, 0.97)
    assert one.lowest is not None
    assert 0.4 < one.lowest < 0.65
    assert one.validation_npv["own"] >= 0.97
    # Another hospital's tumours look healthier: the limit rises until they are not cleared either.
    foreign = scores.copy()
    foreign[200:300] = rng.uniform(0.4, 0.8, 100)
    two = fit_clearance(["own"] * 200 + ["elsewhere"] * 100 + ["own"] * 100, foreign, 0.97)
    assert two.lowest is not None
    assert two.lowest > one.lowest
    assert min(two.validation_npv.values()) >= 0.97
    assert two.cleared < one.cleared


def test_fit_conformal_gives_no_limit_when_none_reaches_the_value() -> None:
    same = np.tile(np.linspace(0, 1, 200), 2)
    found = fit_clearance(["own"] * 400, same, 0.999)
    assert found.lowest is None
    assert found.cleared == 0


def test_score_openness_counts_what_a_set_covers(predictor: Predictor) -> None:
    conformal = Conformal(0.9, {"pneumonia": 0.1, "tuberculosis": 0.1}, {}, SURE)
    operating = replace(
        predictor.bundle.manifest.operating,
        thresholds={"pneumonia": 0.5, "tuberculosis": 0.5},
        bands={},
    )
    manifest = replace(predictor.bundle.manifest, conformal=conformal, operating=operating)
    shown = np.array([[0.9, 0.05, 0.05], [0.8, 0.15, 0.05], [0.95, 0.03, 0.02], [0.1, 0.1, 0.8]])
    answers = make_answers(shown, np.array([0, 1, 1, 2]))
    found = score_openness(answers, manifest)
    assert found["coverage.pneumonia"] == 0.5
    assert found["coverage.tuberculosis"] == 1
    assert found["cleared"] == 1
    # One of three diseased images is cleared: 0.9 healthy beside 0.1 / 3 missed.
    assert found["npv"] == pytest.approx(0.9 / (0.9 + 0.1 / 3))
    assert score_openness(answers, replace(manifest, conformal=None)) == {}
