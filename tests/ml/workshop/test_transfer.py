"""Operating points that hold elsewhere or say that they don't, and words that were earned."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.bundles import find_bundles
from ml.calibration import choose_threshold
from ml.confidence import ASKED, Confidence, RightAnswers, WordRecord, fit_confidence
from ml.equivalence import answers_alike
from ml.intervals import bound_by_groups
from ml.manifest import Operating, read_manifest, write_manifest
from ml.transfer import Transfer
from ml.workshop.exporting.card_tables import render_transfer, render_words
from ml.workshop.exporting.deciding import Validation, choose_operating, fit_answers
from ml.workshop.task_config import TaskConfig
from ml.workshop.transfer import Asked, Rows, choose_transferring
from tests.ml.conftest import load_chest

ASKED_BOTH = Asked(recall=0.8, specificity=0.6)
LABELS = ("normal", "pneumonia", "tuberculosis")


def make_rows(*, shift: float, per_source: int = 120, only_positive: bool = False) -> Rows:
    """Two hospitals; in the second a disease scores `shift` lower, one image a patient."""
    rng = np.random.default_rng(3)
    count = 2 * per_source
    sources = np.repeat(["home", "away"], per_source)
    is_positive = np.arange(count) % 2 == 0
    if only_positive:
        is_positive |= sources == "away"
    scores = np.where(is_positive, 0.8, 0.2) + rng.uniform(-0.15, 0.15, count)
    scores -= np.where((sources == "away") & is_positive, shift, 0)
    return Rows(scores, is_positive, sources, np.arange(count).astype(str))


@pytest.mark.parametrize(
    ("shift", "holds"),
    [(0.0, True), (0.3, True), (0.7, False)],
    ids=["as at home", "a lower threshold for both", "none for both"],
)
def test_choose_transferring_lowers_a_threshold_only_where_that_holds_on_all(
    shift: float, holds: bool
) -> None:
    rows = make_rows(shift=shift)
    point, found = choose_transferring(rows, preferred="home", target_recall=0.95, asked=ASKED_BOTH)
    pooled = choose_threshold(rows.scores, rows.is_positive, target_recall=0.95)
    assert found == holds
    assert point.threshold <= pooled.threshold
    measured = rows.measure(point.threshold)
    assert (measured["away"].recall.low >= 0.8 and measured["away"].specificity.value >= 0.6) or (
        not holds and point == pooled
    )


def test_choose_transferring_refuses_what_only_one_source_can_tell() -> None:
    rows = make_rows(shift=0.0)
    alone = Rows(rows.scores, rows.is_positive, np.full(len(rows.scores), "home"), rows.groups)
    unhealthy = make_rows(shift=0.0, only_positive=True)
    few = dataclasses.replace(rows, is_positive=rows.is_positive & (np.arange(240) < 130))
    one_patient = dataclasses.replace(
        rows, groups=np.where(rows.sources == "away", "the same", rows.groups)
    )
    for known in (alone, unhealthy, few, one_patient):
        _, holds = choose_transferring(
            known, preferred="home", target_recall=0.95, asked=ASKED_BOTH
        )
        assert not holds


def test_own_source_is_where_most_of_a_disease_is_when_the_headline_s_has_none() -> None:
    rows = make_rows(shift=0.0)
    assert rows.own_source("home") == "home"
    assert rows.own_source("elsewhere") in ("home", "away")
    moved = dataclasses.replace(rows, sources=np.where(rows.is_positive, "away", rows.sources))
    assert moved.own_source("home") == "away"


def test_bound_by_groups_counts_patients_and_not_their_images() -> None:
    found = np.ones(100, bool)
    of_all = bound_by_groups(found, [str(row) for row in range(100)])
    of_one = bound_by_groups(found, ["the same"] * 100)
    assert of_all[0] > 0.97
    assert of_one[0] < 0.3
    assert bound_by_groups(np.zeros(0, bool), []) == (0.0, 1.0)


def make_validation(*, shift: float) -> Validation:
    """Logits of three labels for patients of two hospitals; tuberculosis is at home alone."""
    rng = np.random.default_rng(5)
    count = 600
    sources = np.where(np.arange(count) < 300, "guangzhou", "away")
    targets = np.where(sources == "guangzhou", np.arange(count) % 3, np.arange(count) % 2)
    logits = np.eye(3)[targets] * 6 + rng.normal(0, 0.7, (count, 3))
    logits[(sources == "away") & (targets == 1), 1] -= shift
    return Validation(
        examples=(),
        logits=logits,
        targets=targets.astype(np.int64),
        weights=np.ones(count),
        distances=np.zeros(count),
        sources=sources,
        groups=np.arange(count).astype(str),
    )


def configure(**decision: object) -> TaskConfig:
    config = load_chest()
    asked = {"transfer_recall": 0.0, "transfer_specificity": 0.0, "min_specificity": 0.0}
    changed = dataclasses.replace(
        config.decision,
        recall_labels=("pneumonia",),
        headline_source="guangzhou",
        **(asked | decision),
    )
    return dataclasses.replace(config, decision=changed)


def choose(
    config: TaskConfig, validation: Validation
) -> tuple[Operating, Transfer | None, Confidence]:
    raised = np.exp(validation.logits)
    scores = raised / raised.sum(axis=1, keepdims=True)
    operating, transfer = choose_operating(config, validation, scores)
    is_answered = validation.distances <= 1
    _, words = fit_answers(config, validation, scores, operating, is_answered)
    return operating, transfer, words


def test_choose_operating_asks_nothing_of_other_sources_unless_told_to() -> None:
    validation = make_validation(shift=13.0)
    operating, transfer, _ = choose(configure(), validation)
    before = choose_threshold(
        *_pneumonia(validation), target_recall=configure().decision.target_recall
    )
    assert transfer is None
    assert operating.thresholds["pneumonia"] == before.threshold


def _pneumonia(validation: Validation) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    raised = np.exp(validation.logits)
    scores = raised / raised.sum(axis=1, keepdims=True)
    return scores[:, 1], validation.targets == 1


@pytest.mark.parametrize(("shift", "is_own"), [(0.0, False), (13.0, True)])
def test_choose_operating_marks_a_bundle_that_holds_at_home_alone(
    shift: float, is_own: bool
) -> None:
    config = configure(transfer_recall=0.8, transfer_specificity=0.6)
    _, transfer, _ = choose(config, make_validation(shift=shift))
    assert transfer is not None
    assert transfer.is_own_source_only == is_own
    assert transfer.unproven == (("pneumonia",) if is_own else ())
    assert set(transfer.sources) == {"guangzhou", "away"}
    assert transfer.sources["away"]["pneumonia"].recall.groups == 150
    card = render_transfer(transfer)
    assert ("**Own source only.**" in card) == is_own
    assert "| away | pneumonia |" in card


def test_a_disease_of_one_source_makes_a_bundle_one_of_its_own_source() -> None:
    config = configure(transfer_recall=0.8, transfer_specificity=0.6)
    both = dataclasses.replace(config.decision, recall_labels=("pneumonia", "tuberculosis"))
    config = dataclasses.replace(config, decision=both)
    _, transfer, _ = choose(config, make_validation(shift=0.0))
    assert transfer is not None
    assert transfer.unproven == ("tuberculosis",)
    assert transfer.is_own_source_only


def fit(shares: dict[str, float], *, count: int = 400) -> Confidence:
    """By source the share that is right of the answers above a margin of one half."""
    rng = np.random.default_rng(1)
    margins = np.tile(np.linspace(0, 1, count), len(shares))
    sources = np.repeat(list(shares), count)
    right = np.concatenate(
        [
            rng.random(count) < np.where(np.linspace(0, 1, count) > 0.5, share, 0.5)
            for share in shares.values()
        ]
    )
    return fit_confidence(margins, right, sources, np.arange(len(margins)).astype(str))


def test_fit_confidence_says_high_from_where_it_is_true_in_every_source() -> None:
    found = fit({"home": 0.995, "away": 0.97})
    assert 0.4 < found.margins["high"] < 0.6
    record = found.records["high"]
    assert record.right / record.answers >= ASKED["high"]
    assert all(tally.right / tally.answers >= 0.95 for tally in record.sources.values())
    assert 0.9 < record.low < 0.97
    assert found.records["low"].right / found.records["low"].answers < 0.8


def test_fit_confidence_says_no_word_that_one_source_makes_untrue() -> None:
    found = fit({"home": 1.0, "away": 0.6})
    assert found.margins == {}
    assert set(found.records) == {"low"}


def test_fit_confidence_says_nothing_where_too_few_answers_could_prove_it() -> None:
    few = fit({"home": 1.0}, count=12)
    assert few.margins == {}
    nothing = fit_confidence(np.zeros(0), np.zeros(0, bool), [], [])
    assert (nothing.margins, nothing.records) == ({}, {})


def test_fit_confidence_calls_equal_margins_by_one_word() -> None:
    # Right, but for those that share the least margin of them.
    margins = np.repeat([1.0, 0.5], 50)
    right = np.arange(100) < 60
    found = fit_confidence(margins, right, ["home"] * 100, np.arange(100).astype(str))
    assert found.margins == {"high": 1.0}
    assert found.records["low"] == WordRecord(
        right=10,
        answers=50,
        low=pytest.approx(0.123, abs=0.01),
        sources={"home": RightAnswers(10, 50)},
    )


def test_fit_answers_counts_only_answers_that_are_given() -> None:
    validation = make_validation(shift=0.0)
    validation = dataclasses.replace(validation, distances=np.where(np.arange(600) < 100, 2.0, 0.0))
    *_, words = choose(configure(), validation)
    assert sum(record.answers for record in words.records.values()) <= 500


def make_misread(*, is_cleared: bool) -> Validation:
    """A fifth of tuberculosis looks healthier than health, but for the tuberculosis left in it.

    With `is_cleared` it doesn't: then nothing but the normal label's own probability tells.
    """
    rng = np.random.default_rng(6)
    targets = np.repeat([0, 1, 2], [300, 100, 200])
    scores = np.eye(3)[targets] * 0.9 + (1 - np.eye(3)[targets]) * 0.05
    scores[:300] += rng.uniform(-0.02, 0.02, (300, 1)) * [[1, 0, -1]]
    scores[-40:] = [0.75, 0.05, 0.2] if is_cleared else [0.88, 0.01, 0.11]
    return Validation(
        examples=(),
        logits=np.log(scores),
        targets=targets,
        weights=np.ones(600),
        distances=np.zeros(600),
        sources=np.full(600, "guangzhou"),
        groups=np.arange(600).astype(str),
    )


@pytest.mark.parametrize(
    ("asked", "is_cleared"),
    [({"coverage": 0.95}, False), ({"min_npv": 0.99, "prevalence": 0.1}, True)],
    ids=["a set", "a clearance"],
)
def test_fit_answers_earns_words_by_what_is_shown_and_not_by_what_is_withheld(
    asked: dict[str, float], is_cleared: bool
) -> None:
    nothing = {"coverage": 0.0, "min_npv": 0.0}
    validation = make_misread(is_cleared=is_cleared)
    *_, before = choose(configure(**nothing), validation)
    *_, after = choose(configure(**nothing | asked), validation)
    told = sum(record.answers for record in before.records.values())
    assert sum(record.answers for record in after.records.values()) == told - 40
    assert after.records["high"].answers > before.records["high"].answers
    assert after.records["high"].low > before.records["high"].low
    assert all(record.right == record.answers for record in after.records.values())


def test_manifest_keeps_transfer_and_words_and_lacks_them_in_former_bundles(
    released_path: Path, tmp_path: Path
) -> None:
    former, _ = read_manifest(released_path)
    assert (former.transfer, former.confidence) == (None, None)
    config = configure(transfer_recall=0.8, transfer_specificity=0.6)
    _, transfer, words = choose(config, make_validation(shift=13.0))
    manifest = dataclasses.replace(former, transfer=transfer, confidence=words)
    write_manifest(manifest, tmp_path)
    again, content = read_manifest(tmp_path)
    assert again == manifest
    old = json.loads((released_path / "manifest.json").read_text())
    assert not answers_alike(old, json.loads(content))
    assert "| high |" in render_words(words, manifest)


def test_manifest_refuses_a_word_that_nobody_knows(released_path: Path, tmp_path: Path) -> None:
    manifest, _ = read_manifest(released_path)
    words = Confidence(margins={"certain": 0.1}, asked={}, records={})
    write_manifest(dataclasses.replace(manifest, confidence=words), tmp_path)
    with pytest.raises(Exception, match="margins of confidence"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("path", find_bundles("ml/bundles"), ids=lambda path: path.parent.name)
def test_no_shipped_bundle_claims_to_hold_elsewhere(path: Path) -> None:
    """Those made before it was asked say nothing; the others are for their own source only."""
    manifest, _ = read_manifest(path)
    assert manifest.transfer is None or manifest.transfer.is_own_source_only
