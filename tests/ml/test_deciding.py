"""From scores to an answer: calibration, thresholds, aggregation, and when not to answer."""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ml.abstention import check_distance, check_scope, describe_unknowns
from ml.ages import Age
from ml.aggregation import AGGREGATIONS, StudyPrediction, aggregate
from ml.calibration import choose_band, choose_threshold, fit_temperature, softmax
from ml.confidence import Confidence
from ml.distance import fit_space, load_space
from ml.images import Frame, read_frames
from ml.inputs import InputConfig
from ml.intervals import wilson_low
from ml.predictor import Predictor
from ml.preprocessing import describe_window, prepare_frame
from ml.subjects import Subject
from tests.ml.pictures import draw_case, encode_picture, make_dicom

LABELS = ("normal", "pneumonia", "tuberculosis")
THRESHOLDS = {"pneumonia": 0.3, "tuberculosis": 0.6}
PICTURE = draw_case("pneumonia", np.random.default_rng(5), 220)[:200]


def decide(*frames: tuple[float, float, float], rule: str = "max_disease") -> StudyPrediction:
    scores: list[Mapping[str, float]] = [dict(zip(LABELS, frame, strict=True)) for frame in frames]
    return aggregate(rule, scores, LABELS, "normal", thresholds=THRESHOLDS)


def test_softmax_sums_to_one_when_logits_are_extreme() -> None:
    scores = softmax(np.array([[900.0, -900.0, 0.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert scores[0].tolist() == [1, 0, 0]


def test_fit_temperature_softens_when_the_network_is_too_sure() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (4000, 3))
    shares = softmax(honest).cumsum(axis=1)
    targets = (rng.random((4000, 1)) > shares).sum(axis=1)
    found = fit_temperature(honest * 3, targets, np.ones(4000))
    assert found == pytest.approx(3, rel=0.08)


def test_choose_threshold_is_the_highest_that_keeps_the_recall() -> None:
    scores = np.concatenate([np.linspace(0.01, 1, 1000), np.zeros(500)])
    is_positive = np.arange(1500) < 1000
    point = choose_threshold(scores, is_positive, target_recall=0.9)
    assert wilson_low(round(point.recall * 1000), 1000) >= 0.9
    assert wilson_low(round(point.recall * 1000) - 2, 1000) < 0.9
    assert point.specificity == 1


def test_choose_threshold_flags_no_more_than_allowed_when_one_positive_is_odd() -> None:
    rng = np.random.default_rng(3)
    negatives, positives = rng.uniform(0.01, 0.3, 400), rng.uniform(0.5, 1, 40)
    positives[0] = 0.002
    scores = np.concatenate([negatives, positives])
    is_positive = np.arange(440) >= 400

    free = choose_threshold(scores, is_positive, target_recall=0.95)
    held = choose_threshold(scores, is_positive, target_recall=0.95, min_specificity=0.6)

    assert (free.specificity, free.recall) == (0, 1)
    assert 0.6 <= held.specificity < 0.61
    assert held.recall == 39 / 40
    # Where the recall leaves more than the floor, the floor changes nothing.
    easy = np.where(is_positive, np.maximum(scores, 0.5), scores)
    asked = {"target_recall": 0.95}
    assert choose_threshold(easy, is_positive, min_specificity=0.6, **asked) == choose_threshold(
        easy, is_positive, **asked
    )


def test_choose_threshold_asks_for_more_when_positives_are_few() -> None:
    scores = np.concatenate([np.linspace(0.1, 1, 20), np.zeros(5)])
    point = choose_threshold(scores, np.arange(25) < 20, target_recall=0.95)
    assert point.recall == 1


@pytest.mark.parametrize(
    ("scores", "label", "confidence"),
    [
        ((0.98, 0.01, 0.01), "normal", "high"),
        ((0.69, 0.31, 0.0), None, "low"),
        ((0.49, 0.5, 0.01), "pneumonia", "medium"),
        ((0.5, 0.5, 0.0), "pneumonia", "medium"),
        ((0.02, 0.97, 0.01), "pneumonia", "high"),
        ((0.05, 0.35, 0.6), "tuberculosis", "low"),
        ((0.3, 0.15, 0.55), None, "low"),
    ],
)
def test_aggregate_decides_by_the_operating_thresholds(
    scores: tuple[float, float, float], label: str | None, confidence: str
) -> None:
    decision = decide(scores)
    assert (decision.label, decision.confidence) == (label, confidence)
    assert decision.is_above_threshold == {
        name: dict(zip(LABELS, scores, strict=True))[name] >= limit
        for name, limit in THRESHOLDS.items()
    }


def test_aggregate_follows_its_rule_when_one_frame_is_diseased() -> None:
    frames = [(0.96, 0.02, 0.02), (0.1, 0.88, 0.02), (0.97, 0.01, 0.02)]
    worst, mean = decide(*frames), decide(*frames, rule="mean")
    assert (worst.label, worst.deciding_frame) == ("pneumonia", 1)
    assert worst.probabilities["pneumonia"] == pytest.approx(0.88)
    assert mean.probabilities["pneumonia"] == pytest.approx(0.91 / 3)
    assert set(AGGREGATIONS) == {"mean", "max_disease"}


BANDS = {"pneumonia": (0.2, 0.5), "tuberculosis": (0.6, 0.6)}


@pytest.mark.parametrize(
    ("scores", "outcome", "named", "doubted"),
    [
        ((0.6, 0.4, 0.0), "indeterminate", "pneumonia", "pneumonia"),
        ((0.5, 0.5, 0.0), "finding", "pneumonia", ""),
        ((0.49, 0.51, 0.0), "finding", "pneumonia", ""),
        ((0.75, 0.25, 0.0), "indeterminate", "pneumonia", "pneumonia"),
        ((0.75, 0.2, 0.05), "indeterminate", "pneumonia", "pneumonia"),
        ((0.81, 0.19, 0.0), "no_finding", "normal", ""),
        # A finding stands beside what is in doubt, and the doubt is told.
        ((0.1, 0.25, 0.65), "finding", "tuberculosis", "pneumonia"),
        # A disease leads and none passed, also where the normal label is the least probable.
        ((0.25, 0.19, 0.56), "below_operating_point", "tuberculosis", ""),
        ((0.41, 0.0, 0.59), "below_operating_point", "tuberculosis", ""),
        ((0.5, 0.0, 0.5), "no_finding", "normal", ""),
    ],
)
def test_aggregate_gives_one_outcome(
    scores: tuple[float, float, float], outcome: str, named: str, doubted: str
) -> None:
    frame = dict(zip(LABELS, scores, strict=True))
    found = aggregate("mean", [frame], LABELS, "normal", thresholds=THRESHOLDS, bands=BANDS)
    assert found.outcome == outcome
    gives_label = outcome in ("finding", "no_finding")
    assert (found.label, found.suspected_label) == ((named, None) if gives_label else (None, named))
    assert (doubted in found.doubt) if doubted else not found.doubt
    assert found.confidence == "low" or gives_label


def test_aggregate_without_bands_knows_no_indeterminate_answer() -> None:
    frame = {"normal": 0.6, "pneumonia": 0.4, "tuberculosis": 0.0}
    found = aggregate("mean", [frame], LABELS, "normal", thresholds=THRESHOLDS)
    assert (found.outcome, found.suspected_label, found.doubt) == ("flagged", "pneumonia", "")


@pytest.mark.parametrize(
    ("probability", "outcome"), [(0.5, "finding"), (0.499, "below_operating_point")]
)
def test_aggregate_gives_a_disease_without_a_threshold_from_one_half_on(
    probability: float, outcome: str
) -> None:
    frame = {"normal": 0.3, "pneumonia": probability, "tuberculosis": 0.1}
    found = aggregate("mean", [frame], LABELS, "normal", thresholds={})
    assert found.outcome == outcome
    assert (found.label or found.suspected_label) == "pneumonia"


def test_aggregate_tells_of_diseases_that_a_more_probable_one_would_hide() -> None:
    frame = {"normal": 0.05, "pneumonia": 0.35, "tuberculosis": 0.6}
    found = aggregate("mean", [frame], LABELS, "normal", thresholds=THRESHOLDS)
    assert (found.outcome, found.label) == ("finding", "tuberculosis")
    assert "pneumonia (0.35) is above its operating point (0.30) too" in found.also_passed
    assert decide((0.69, 0.31, 0.0)).also_passed == ""


@pytest.mark.parametrize(
    ("scores", "outcome", "named"),
    [
        # What was chosen for recall comes before a benign label, however probable that is.
        ((0.0, 0.09, 0.91), "flagged", "mel"),
        ((0.0, 0.06, 0.94), "indeterminate", "mel"),
        ((0.0, 0.04, 0.96), "finding", "bkl"),
    ],
)
def test_aggregate_lets_no_benign_label_hide_what_must_not_be_missed(
    scores: tuple[float, float, float], outcome: str, named: str
) -> None:
    labels = ("nv", "mel", "bkl")
    found = aggregate(
        "mean",
        [dict(zip(labels, scores, strict=True))],
        labels,
        "nv",
        thresholds={"mel": 0.05},
        bands={"mel": (0.05, 0.08)},
    )
    assert (found.outcome, found.label or found.suspected_label) == (outcome, named)
    assert ("bkl" in found.also_passed) == (named == "mel")
    assert found.likeliest_label == "bkl"


@pytest.mark.parametrize(
    ("scores", "outcome", "suspected", "likeliest"),
    [
        ((0.71, 0.31, 0.0), "flagged", "pneumonia", "normal"),
        # Of two that passed, the more probable is flagged; a third, at the default point, leads.
        ((0.05, 0.32, 0.63), "finding", None, "tuberculosis"),
        ((0.0, 0.45, 0.55), "flagged", "pneumonia", "tuberculosis"),
        # Nothing is more probable than the disease: a tie is no reason to hold a finding back.
        ((0.5, 0.5, 0.0), "finding", None, "pneumonia"),
        ((0.5, 0.2, 0.3), "no_finding", None, "normal"),
    ],
)
def test_aggregate_flags_a_disease_that_passed_and_is_not_the_likeliest(
    scores: tuple[float, float, float], outcome: str, suspected: str | None, likeliest: str
) -> None:
    found = decide(scores)
    assert (found.outcome, found.suspected_label) == (outcome, suspected)
    assert found.likeliest_label == likeliest
    assert found.label == (None if suspected else likeliest)
    assert suspected is None or found.confidence == "low"
    assert suspected is None or suspected not in found.also_passed


def test_aggregate_shows_the_frame_that_speaks_most_for_what_is_flagged() -> None:
    found = decide((0.6, 0.4, 0.0), (0.62, 0.31, 0.07), (0.7, 0.3, 0.0), rule="mean")
    assert (found.outcome, found.suspected_label, found.deciding_frame) == (
        "flagged",
        "pneumonia",
        0,
    )


def test_aggregate_says_only_words_that_were_earned() -> None:
    frame = {"normal": 0.02, "pneumonia": 0.97, "tuberculosis": 0.01}
    words = []
    for margins in ({"high": 0.9, "medium": 0.5}, {"high": 0.99, "medium": 0.5}, {}):
        earned = Confidence(margins=margins, asked={}, records={})
        found = aggregate(
            "mean", [frame], LABELS, "normal", thresholds=THRESHOLDS, confidence=earned
        )
        words.append(found.confidence)
    assert words == ["high", "medium", "low"]


def test_aggregate_keeps_one_label_for_tables_whatever_the_outcome() -> None:
    found = decide((0.3, 0.15, 0.55))
    assert (found.outcome, found.label_at_thresholds) == ("below_operating_point", "tuberculosis")
    found = decide((0.69, 0.31, 0.0))
    assert (found.outcome, found.label_at_thresholds) == ("flagged", "pneumonia")


def test_choose_band_reaches_as_far_as_answers_are_often_wrong() -> None:
    # Certain up to 0.4 and from 0.6 on; between them every second image is on the wrong side.
    scores = np.linspace(0, 1, 1001)
    is_positive = scores >= 0.5
    is_doubtful = (scores > 0.4) & (scores < 0.6)
    is_positive[is_doubtful] = np.arange(is_doubtful.sum()) % 2 == 0
    band = choose_band(scores, is_positive, threshold=0.5, max_error=0.01, max_share=0.5)
    assert 0.4 < band.low < 0.43
    assert 0.57 < band.high < 0.6
    outside = (scores < band.low) | (scores >= band.high)
    is_wrong = (scores >= 0.5) != is_positive
    assert band.share == pytest.approx(1 - outside.mean())
    assert band.error == pytest.approx(is_wrong[outside].mean())
    assert is_wrong[scores >= band.high].mean() <= 0.01
    assert is_wrong[scores < band.low].mean() <= 0.01


def test_choose_band_is_empty_when_the_threshold_separates() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    band = choose_band(scores, scores > 0.5, threshold=0.5, max_error=0.01, max_share=0.5)
    assert (band.low, band.high, band.share, band.error) == (0.5, 0.5, 0, 0)


def test_choose_band_stays_within_its_share_and_says_what_is_left() -> None:
    rng = np.random.default_rng(7)
    scores, is_positive = rng.random(400), rng.random(400) < 0.5
    band = choose_band(scores, is_positive, threshold=0.5, max_error=0.01, max_share=0.1)
    assert 0.09 <= band.share <= 0.1
    assert band.error > 0.3
    assert band.low < 0.5 < band.high


def test_aggregate_refuses_when_there_is_no_frame() -> None:
    with pytest.raises(ValueError, match="at least one"):
        aggregate("mean", [], LABELS, "normal", thresholds=THRESHOLDS)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, None),
        ({"Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA"}, None),
        ({"Modality": "cr", "BodyPartExamined": "Chest ap"}, None),
        ({"PatientOrientation": ["L", "F"], "PatientAge": "004Y"}, None),
        ({"Modality": "CT"}, "wrong_modality"),
        ({"Modality": "CR", "BodyPartExamined": "HAND"}, "wrong_body_part"),
        ({"Modality": "DX", "ViewPosition": "LL"}, "wrong_view"),
        ({"Modality": "DX", "ViewPosition": "ll "}, "wrong_view"),
        ({"Modality": "DX", "PatientOrientation": ["A", "F"]}, "wrong_view"),
        ({"SeriesDescription": "Chest lateral"}, "wrong_view"),
        ({"PatientAge": "003W"}, "age_out_of_range"),
        ({"PatientAge": "3M"}, "age_out_of_range"),
        ({"PatientAge": "012M"}, None),
        ({"PatientBirthDate": "20240101", "StudyDate": "20240301"}, "age_out_of_range"),
        ({"PatientBirthDate": "2024.01.01", "StudyDate": "20241231"}, "age_out_of_range"),
        ({"PatientBirthDate": "20240101", "StudyDate": "20250101"}, None),
        (
            {"PatientBirthDate": "20240101", "StudyDate": "20240301", "PatientAge": "40Y"},
            "age_out_of_range",
        ),
        # Born after the examination: unknown.
        ({"PatientBirthDate": "20240401", "StudyDate": "20240301"}, None),
        ({"PatientBirthDate": "nonsense", "StudyDate": "20240399", "PatientAge": "old"}, None),
    ],
)
def test_check_scope_judges_by_the_header(
    predictor: Predictor, fields: dict[str, Any], code: str | None
) -> None:
    (frame,) = read_frames(make_dicom(PICTURE, **fields))
    abstention = check_scope(frame, predictor.bundle.manifest)
    assert (abstention.code if abstention else None) == code


KNOWN = {"age": Age(40, "y"), "sex": "F", "view": "PA", "body_part": "CHEST", "modality": "CR"}


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, None),
        ({"age": Age(3, "mo")}, "age_out_of_range"),
        ({"age": None, "sex": ""}, None),
        ({"sex": "m"}, "wrong_sex"),
        ({"view": "lateral"}, "wrong_view"),
        ({"body_part": "Hand"}, "wrong_body_part"),
        ({"modality": "ct"}, "wrong_modality"),
        ({"descriptions": ("", "Thorax oblique")}, "wrong_view"),
    ],
)
def test_check_scope_believes_what_is_known_and_not_the_header(
    predictor: Predictor, facts: dict[str, Any], code: str | None
) -> None:
    fields = {"PatientAge": "001D", "PatientSex": "M", "Modality": "US"}
    (frame,) = read_frames(make_dicom(PICTURE, **fields))
    manifest = predictor.bundle.manifest
    scope = dataclasses.replace(manifest.scope, sexes=("F",))
    subject = Subject(**KNOWN | facts)
    abstention = check_scope(frame, dataclasses.replace(manifest, scope=scope), subject)
    assert (abstention.code if abstention else None) == code
    assert all("unknown" in note for note in describe_unknowns(subject, scope))
    assert len(describe_unknowns(subject, scope)) == (
        2 if "sex" in facts and not facts["sex"] else 0
    )


def test_describe_unknowns_is_silent_about_limits_that_leave_nobody_out(
    predictor: Predictor,
) -> None:
    scope = predictor.bundle.manifest.scope
    everybody = dataclasses.replace(scope, min_age_years=0.0, max_age_years=120.0)
    assert describe_unknowns(Subject(), everybody) == []
    assert "age is unknown" in describe_unknowns(Subject(), scope)[0]


HU = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}


def make_ct(**fields: Any) -> Frame:
    """The picture as a CT from -1350 to 150 HU."""
    stored = (np.asarray(PICTURE, np.int32) * 1500 // 255 - 326).clip(0).astype(np.uint16)
    (frame,) = read_frames(make_dicom(stored, **HU | fields))
    return frame


@pytest.mark.parametrize(
    ("fields", "is_same"),
    [
        ({"WindowCenter": "40", "WindowWidth": "400"}, True),
        ({"WindowCenter": "300", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        # Not Hounsfield units: the header's window stays the only word on it.
        ({"WindowCenter": "40", "WindowWidth": "400", "RescaleType": "US"}, False),
        ({"WindowCenter": "40", "WindowWidth": "400", "Modality": "MR"}, False),
    ],
)
def test_prepare_frame_reads_a_ct_through_the_manifest_s_window(
    fields: dict[str, Any], is_same: bool
) -> None:
    spec = InputConfig(size=96, colour="grey", contrast="stretched", hu_window=(-600.0, 1500.0))
    usual, other = make_ct(WindowCenter="-600", WindowWidth="1500"), make_ct(**fields)
    assert np.array_equal(prepare_frame(usual, spec), prepare_frame(other, spec)) == is_same
    assert bool(describe_window(other, spec)) == is_same
    plain = dataclasses.replace(spec, hu_window=None)
    assert not np.array_equal(prepare_frame(usual, plain), prepare_frame(other, plain))
    assert describe_window(other, plain) == []


def test_grey_levels_with_an_idle_rescale_are_no_hounsfield_units() -> None:
    (frame,) = read_frames(make_dicom(PICTURE, **HU | {"RescaleIntercept": "0"}))
    assert not frame.is_hounsfield
    assert make_ct().is_hounsfield


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (np.zeros((200, 200), np.uint8), "constant_image"),
        (100 + PICTURE // 64, "constant_image"),
        (np.random.default_rng(5).integers(0, 255, (200, 220), np.uint8), "unlike_training"),
        (PICTURE[:50, :50], "image_too_small"),
        (PICTURE[:100], "image_too_narrow"),
        (np.stack([PICTURE, PICTURE // 2, PICTURE // 3], axis=-1), "colour_image"),
    ],
)
def test_check_scope_judges_by_the_pixels(
    predictor: Predictor, pixels: np.ndarray[Any, Any], code: str
) -> None:
    (frame,) = read_frames(encode_picture(pixels))
    abstention = check_scope(frame, predictor.bundle.manifest)
    assert abstention is not None
    assert abstention.code == code
    assert abstention.reason.endswith(".")


def test_fit_space_measures_strangers_as_farther(tmp_path: Any) -> None:
    rng = np.random.default_rng(2)
    targets = rng.integers(0, 3, 600)
    mixing = rng.normal(size=(8, 100))
    embeddings = rng.normal(size=(600, 8)) @ mixing + 4 * np.eye(3, 100)[targets]
    embeddings = (embeddings + rng.normal(0, 0.1, embeddings.shape)).astype(np.float32)
    space = fit_space(embeddings[:400], targets[:400])
    known = space.measure(embeddings[400:])
    strangers = space.measure(rng.normal(0, 6, (100, 100)).astype(np.float32))
    assert np.median(strangers) > np.quantile(known, 0.99)
    space.save(tmp_path / "space.npz")
    again = load_space(tmp_path / "space.npz").measure(embeddings[400:])
    np.testing.assert_allclose(again, known, rtol=2e-2)


def test_check_distance_abstains_beyond_the_limit() -> None:
    manifest: Any = SimpleNamespace(distance=SimpleNamespace(limit=2.0), title="Chest X-ray")
    assert check_distance(2.0, manifest) is None
    abstention = check_distance(2.01, manifest)
    assert abstention is not None
    assert abstention.code == "unlike_training"
    hinted = check_distance(2.01, manifest, hint="It looks upside down.")
    assert hinted is not None
    assert hinted.reason == f"{abstention.reason} It looks upside down."
