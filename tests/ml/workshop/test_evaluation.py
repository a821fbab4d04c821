"""Figures against scikit-learn and by hand, subgroups, wrong answers, spoilt images, the report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from ml.confidence import Confidence
from ml.images import encode_png
from ml.manifest import Manifest
from ml.predictor import Predictor
from ml.study import conclude_images
from ml.workshop.datasets import Example
from ml.workshop.evaluation.gallery import choose_mistakes, find_mistakes, lay_over, list_mistakes
from ml.workshop.evaluation.metrics import (
    bootstrap,
    bootstrap_weights,
    draw_groups,
    macro_auc,
    roc_auc,
    score_labels,
    weigh_auc,
    weigh_average_precision,
    weigh_brier,
    weigh_calibration,
)
from ml.workshop.evaluation.operating import (
    judge_operating,
    net_benefit,
    net_benefit_of_all,
    predictive_values,
)
from ml.workshop.evaluation.robustness import (
    CHANGES,
    RobustnessRow,
    find_harm,
    list_robustness_figures,
    measure_robustness,
    name_robustness_figures,
    spoil_picture,
)
from ml.workshop.evaluation.scoring import Answers, headline_rows, score_answers
from ml.workshop.evaluation.subgroups import band_age, read_attributes, score_subgroups
from ml.workshop.exporting.card_limits import describe_harm
from ml.workshop.task_config import DecisionConfig
from tests.ml.conftest import load_chest
from tests.ml.pictures import draw_case

LABELS = ("normal", "pneumonia", "tuberculosis")
Probabilities = NDArray[np.float64]


@pytest.fixture(scope="module")
def manifest(predictor: Predictor) -> Manifest:
    return predictor.bundle.manifest


@pytest.fixture(scope="module")
def decision() -> DecisionConfig:
    return load_chest().decision


def make_scores(count: int = 240, *, seed: int = 5) -> tuple[Probabilities, NDArray[np.int64]]:
    """Probabilities with ties, better than chance, and targets."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    raw = np.round(rng.uniform(0.05, 1, (count, 3)) + 0.5 * np.eye(3)[targets], 1)
    return raw / raw.sum(axis=1, keepdims=True), targets


def make_answers(
    shown: Probabilities,
    targets: NDArray[np.int64],
    *,
    given: NDArray[np.int64] | None = None,
    facts: Callable[[int], dict[str, str]] = lambda row: {},
    sources: Callable[[int], str] = lambda row: "guangzhou",
) -> Answers:
    """Answers without images, two to a group."""
    examples = tuple(
        Example(
            path=Path("nowhere"),
            name=f"{row}.png",
            label=LABELS[target],
            set_label=LABELS[target],
            source=sources(row),
            group=f"g{row // 2}",
            split="val",
            population="",
            facts=facts(row),
        )
        for row, target in enumerate(targets)
    )
    return Answers(
        examples=examples,
        probabilities=shown,
        given=shown.argmax(axis=1) if given is None else given,
        targets=targets,
        distances=np.zeros(len(targets)),
        refusals=("",) * len(targets),
    )


def test_score_answers_agrees_with_scikit_learn(
    manifest: Manifest, decision: DecisionConfig
) -> None:
    shown, targets = make_scores()
    given = np.roll(shown, 1, axis=1).argmax(axis=1)
    found = score_answers(
        make_answers(shown, targets, given=given), manifest, decision, resamples=5
    )
    truth = np.eye(3)[targets]
    table = sklearn.precision_recall_fscore_support(targets, given)
    argmax = sklearn.precision_recall_fscore_support(targets, shown.argmax(axis=1))
    expected = {
        "accuracy": sklearn.accuracy_score(targets, given),
        "balanced_accuracy": sklearn.balanced_accuracy_score(targets, given),
        "macro_precision": table[0].mean(),
        "macro_f1": table[2].mean(),
        "argmax_balanced_accuracy": argmax[1].mean(),
        "argmax_f1.pneumonia": argmax[2][1],
        "recall.normal": table[1][0],
        "specificity.normal": sklearn.recall_score(targets != 0, given != 0),
        "macro_auc": sklearn.roc_auc_score(targets, shown, multi_class="ovr"),
        "macro_average_precision": sklearn.average_precision_score(truth, shown),
        "brier": sklearn.brier_score_loss(targets, shown, scale_by_half=False),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].low <= found[name].high
    for row, label in enumerate(LABELS):
        area = sklearn.roc_auc_score(targets == row, shown[:, row])
        assert found[f"auc.{label}"].value == pytest.approx(area)


def test_weigh_auc_equals_the_plain_one_on_every_resample() -> None:
    shown, targets = make_scores(90)
    groups = [f"g{row // 3}" for row in range(90)]
    everything = np.arange(90)
    for weights in draw_groups(groups, 12):
        areas = weigh_auc(weights, shown[:, 1], targets == 1)
        precisions = weigh_average_precision(weights, shown[:, 1], targets == 1)
        for row, counts in enumerate(weights):
            drawn = np.repeat(everything, counts.astype(int))
            is_positive = targets[drawn] == 1
            assert areas[row] == pytest.approx(roc_auc(shown[drawn, 1], is_positive))
            expected = sklearn.average_precision_score(is_positive, shown[drawn, 1])
            assert precisions[row] == pytest.approx(expected)


def test_weigh_auc_is_nan_when_a_class_is_absent() -> None:
    scores = np.array([0.1, 0.7, 0.9])
    only_positives = weigh_auc(np.ones((2, 3)), scores, np.ones(3, bool))
    assert np.isnan(only_positives).all()


def test_bootstrap_weights_gives_the_intervals_of_bootstrap() -> None:
    shown, targets = make_scores(60)
    groups = [f"g{row // 2}" for row in range(60)]
    given = shown.argmax(axis=1)
    plain = bootstrap(
        lambda rows: {
            "macro_auc": macro_auc(shown[rows], targets[rows]),
            "recall": score_labels(targets[rows], given[rows], LABELS)["recall.pneumonia"],
        },
        groups,
        resamples=40,
    )
    fast = bootstrap_weights(
        lambda weights: {
            "macro_auc": np.mean(
                [weigh_auc(weights, shown[:, row], targets == row) for row in range(3)], axis=0
            ),
            "recall": weights @ ((targets == 1) & (given == 1)) / (weights @ (targets == 1)),
        },
        groups,
        resamples=40,
    )
    for name, metric in plain.items():
        assert fast[name].value == pytest.approx(metric.value)
        assert (fast[name].low, fast[name].high) == pytest.approx((metric.low, metric.high))


def test_weigh_calibration_and_brier_are_zero_when_always_sure_and_right() -> None:
    shown = np.eye(3)[[0, 1, 2, 1]]
    weights = np.array([[1.0, 1, 1, 1], [0, 3, 1, 0]])
    targets = np.array([0, 1, 2, 1])
    assert weigh_calibration(weights, shown, targets).tolist() == [0, 0]
    assert weigh_brier(weights, shown, targets).tolist() == [0, 0]
    wrong = np.array([1, 2, 0, 0])
    assert weigh_brier(weights, shown, wrong).tolist() == [2, 2]
    assert weigh_calibration(weights, shown, wrong).tolist() == [1, 1]


def test_score_answers_takes_all_sources_when_the_headline_names_none(
    manifest: Manifest, decision: DecisionConfig
) -> None:
    shown, targets = make_scores()
    answers = make_answers(shown, targets, sources=lambda row: ("here", "there")[row % 2])
    everywhere = replace(decision, headline_source="")
    found = score_answers(answers, manifest, everywhere, resamples=3)
    asked = np.isin(targets, (0, 1))
    assert found["all.pneumonia.auc"].images == asked.sum()
    right = (shown.argmax(axis=1) == targets)[asked]
    assert found["all.pneumonia.accuracy"].value == pytest.approx(right.mean())
    in_one = score_answers(
        answers, manifest, replace(decision, headline_source="here"), resamples=3
    )
    assert in_one["here.pneumonia.auc"].images == asked[::2].sum()
    nowhere = score_answers(
        answers, manifest, replace(decision, headline_source="elsewhere"), resamples=3
    )
    assert not [name for name in nowhere if name.endswith("pneumonia.accuracy")]


def test_headline_rows_takes_every_label_when_none_is_normal(decision: DecisionConfig) -> None:
    shown, targets = make_scores(30)
    examples = make_answers(shown, targets).examples
    assert headline_rows(examples, LABELS, "", decision).size == 30
    with_normal = headline_rows(examples, LABELS, "normal", decision)
    assert set(targets[with_normal]) == {0, 1}


def test_score_answers_counts_refused_images_apart(
    manifest: Manifest, decision: DecisionConfig
) -> None:
    shown, targets = make_scores(60)
    answers = make_answers(shown, targets)
    is_wrong = answers.given != answers.targets
    refusals = tuple("unlike_training" if wrong else "" for wrong in is_wrong)
    found = score_answers(replace(answers, refusals=refusals), manifest, decision, resamples=3)
    assert found["refused"].value == pytest.approx(is_wrong.mean())
    assert found["answered_accuracy"].value == 1
    assert found["accuracy"].value == pytest.approx(1 - is_wrong.mean())


def test_net_benefit_has_the_values_of_the_definition() -> None:
    scores = np.array([0.9, 0.6, 0.4, 0.2])
    is_positive = np.array([True, False, True, False])
    # At 0.5: one true and one false positive of four, odds 1. At 0.25: two and one, odds 1/3.
    found = net_benefit(scores, is_positive, np.array([0.5, 0.25]))
    assert found == pytest.approx([1 / 4 - 1 / 4, 2 / 4 - 1 / 4 / 3])
    everybody = net_benefit_of_all(is_positive, np.array([0.5, 0.2]))
    assert everybody == pytest.approx([0, 0.5 - 0.5 * 0.25])


def test_predictive_values_follow_bayes() -> None:
    ppv, npv = predictive_values(np.array([0.9]), np.array([0.8]), prevalence=0.1)
    assert ppv[0] == pytest.approx(0.09 / (0.09 + 0.18))
    assert npv[0] == pytest.approx(0.72 / (0.72 + 0.01))


def test_judge_operating_applies_the_manifest_thresholds(manifest: Manifest) -> None:
    shown, targets = make_scores()
    found = judge_operating(make_answers(shown, targets), manifest, resamples=20)
    assert found.keys() == {"pneumonia", "tuberculosis"}
    point = found["pneumonia"]
    is_called = shown[:, 1] >= manifest.operating.thresholds["pneumonia"]
    assert point.recall is not None
    assert point.recall.value == pytest.approx(is_called[targets == 1].mean())
    assert list(point.ppv) == ["0.005", "0.02", "0.1", "0.3"]
    values = [metric.value for metric in point.ppv.values()]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("text", "band"),
    [("0.0", "0-17"), ("17.9", "0-17"), ("40", "40-59"), ("80", "80 and over"), ("055Y", "40-59")],
)
def test_band_age_names_the_band(text: str, band: str) -> None:
    assert band_age(text) == band


@pytest.mark.parametrize("text", ["", "unknown", "-3", "400", "nan"])
def test_band_age_is_not_stated_when_there_is_no_age(text: str) -> None:
    assert band_age(text) == "not stated"


def test_read_attributes_leaves_out_what_divides_nothing() -> None:
    shown, targets = make_scores(60)
    answers = make_answers(
        shown,
        targets,
        facts=lambda row: {"sex": ("f", "m", "")[row % 3], "id": str(row), "device": "one"},
    )
    found = read_attributes(answers.examples)
    assert found.keys() == {"sex"}
    assert set(found["sex"]) == {"f", "m", "not stated"}


def test_score_subgroups_finds_the_part_that_is_missed(
    manifest: Manifest, decision: DecisionConfig
) -> None:
    targets = np.tile([0, 1, 2], 100)
    shown = np.eye(3)[targets] * 0.8 + 0.2 / 3
    is_old = np.arange(300) >= 240
    given = np.where(is_old & (targets == 1), 0, targets)
    shown[is_old & (targets == 1)] = [0.7, 0.2, 0.1]
    answers = make_answers(
        shown, targets, given=given, facts=lambda row: {"age": "90" if is_old[row] else "30"}
    )
    found = score_subgroups(answers, manifest, decision, resamples=200)
    assert [(part.attribute, part.value, part.images) for part in found] == [
        ("age", "18-39", 240),
        ("age", "80 and over", 60),
    ]
    old = found[1].figures["recall.pneumonia"]
    assert old.value is not None
    assert old.gap is not None
    assert (old.value.value, old.gap.value) == (0, -1)
    assert old.gap.high < 0
    normal = found[1].figures["normal_recall"]
    assert normal.gap is not None
    assert normal.gap.value == 0


def test_score_subgroups_judges_no_cell_when_it_is_small(
    manifest: Manifest, decision: DecisionConfig
) -> None:
    targets = np.tile([0, 1, 2], 100)
    shown = np.eye(3)[targets] * 0.8 + 0.2 / 3
    answers = make_answers(shown, targets, facts=lambda row: {"sex": "f" if row < 57 else "m"})
    few, many = score_subgroups(answers, manifest, decision, resamples=20)
    assert few.figures["recall.pneumonia"].value is None
    assert few.figures["recall.pneumonia"].images == 19
    assert few.figures["disease_recall"].value is not None
    assert many.figures["recall.pneumonia"].value is not None
    assert many.figures["recall.pneumonia"].gap is None


def test_find_mistakes_puts_missed_diseases_first(manifest: Manifest) -> None:
    shown = np.array(
        [[0.1, 0.9, 0.0], [0.6, 0.4, 0.0], [0.9, 0.0, 0.1], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]]
    )
    answers = make_answers(shown, np.array([0, 1, 2, 1, 0]))
    found = find_mistakes(answers, manifest)
    assert [(one.row, one.kind) for one in found] == [
        (2, "missed"),
        (1, "missed"),
        (3, "confused"),
        (0, "false alarm"),
    ]


def test_choose_mistakes_leaves_every_kind_a_place(manifest: Manifest) -> None:
    targets = np.array([1] * 30 + [0] * 3 + [1])
    given = np.array([0] * 30 + [1] * 3 + [2])
    shown = np.full((34, 3), 1 / 3)
    mistakes = find_mistakes(make_answers(shown, targets, given=given), manifest)
    kinds = [one.kind for one in choose_mistakes(mistakes, 10)]
    assert kinds == ["missed"] * 6 + ["confused"] + ["false alarm"] * 3
    assert len(choose_mistakes(mistakes, 100)) == 34


def test_lay_over_changes_only_where_the_map_is() -> None:
    picture = np.full((40, 40, 3), 90, np.uint8)
    activation = np.zeros((4, 4), np.float32)
    activation[:2, :2] = 1
    laid = lay_over(picture, activation)
    assert np.array_equal(laid[28:, 28:], picture[28:, 28:])
    assert np.abs(laid[5, 5].astype(int) - 90).max() > 50


@pytest.mark.parametrize("change", [one.name for one in CHANGES])
@pytest.mark.parametrize("is_colour", [False, True])
def test_spoil_picture_changes_more_when_stronger(change: str, is_colour: bool) -> None:
    picture = draw_case("tuberculosis", np.random.default_rng(2), side=192)
    if is_colour:
        picture = np.stack([picture, picture[::-1], picture.T], axis=-1)
    (strengths,) = [one.strengths for one in CHANGES if one.name == change]
    distances = []
    for strength in strengths:
        spoilt = spoil_picture(picture, change, strength)
        assert (spoilt.shape, spoilt.dtype) == (picture.shape, np.uint8)
        distances.append(float(np.abs(spoilt.astype(float) - picture).mean()))
    assert 0 < distances[0] < distances[-1]


def test_measure_robustness_compares_with_the_untouched_sample(
    predictor: Predictor, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    for row in range(4):
        (tmp_path / f"{row}.png").write_bytes(encode_png(draw_case("pneumonia", rng)))
    shown, targets = np.tile([0.2, 0.7, 0.1], (4, 1)), np.array([1, 1, 1, 0])
    answers = make_answers(shown, targets)
    examples = tuple(
        replace(example, path=tmp_path / f"{row}.png")
        for row, example in enumerate(answers.examples)
    )
    rows = measure_robustness(predictor, replace(answers, examples=examples), max_images=3)
    assert len(rows) == sum(1 + len(change.strengths) for change in CHANGES)
    assert {row.images for row in rows} == {3}
    untouched = [row for row in rows if row.strength == 0]
    assert len({row.accuracy for row in untouched}) == 1
    assert untouched[0].disease_recall == 1
    figures = list_robustness_figures(rows)
    assert set(figures) <= name_robustness_figures()
    assert "robustness.blur.2.disease_recall_or_refused" in figures
    assert figures["robustness.JPEG.5.accuracy"].asked == 3
    for row in rows:
        assert row.disease_recall_or_refused is not None
        assert row.disease_recall is not None
        assert row.disease_recall_or_refused >= row.disease_recall
        assert 0 <= row.refused <= 1


def make_row(strength: float, recall: float | None, *, unit: str = "") -> RobustnessRow:
    (blur,) = [change for change in CHANGES if change.name == "blur"]
    return RobustnessRow(
        "blur", unit or blur.unit, strength, 30, 0.9, 0.9, 0.9, 0.0, normal_recall_or_refused=recall
    )


def test_find_harm_is_the_mildest_strength_that_takes_a_fifth_of_the_recall() -> None:
    rows = [make_row(0, 0.9), make_row(1, 0.8), make_row(2, 0.7), make_row(4, 0.1)]
    assert [row.strength for row in find_harm(rows, "normal_recall_or_refused")] == [2]
    assert find_harm(rows[:2], "normal_recall_or_refused") == []
    (sentence,) = describe_harm(rows)
    assert sentence.startswith("Misled by blur from 2 on (")
    assert "of normal images 70%" in sentence


def test_records_of_before_name_no_figures_and_no_harm() -> None:
    rows = [make_row(0, None, unit="radius in %"), make_row(2, None, unit="radius in %")]
    assert list_robustness_figures(rows) == {}
    assert describe_harm(rows) == []


def test_list_mistakes_says_the_word_that_the_clinic_says(manifest: Manifest) -> None:
    unearned = replace(manifest, conformal=None, confidence=Confidence({}, {}, {}))
    missed = {"normal": 0.98, "pneumonia": 0.01, "tuberculosis": 0.01}
    answers = make_answers(np.array([list(missed.values())]), np.array([1]))
    [listed] = list_mistakes(answers, unearned, find_mistakes(answers, unearned))
    assert listed.confidence == conclude_images(unearned, [missed]).confidence == "low"
