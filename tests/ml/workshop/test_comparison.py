"""Two bundles on the same images: DeLong and McNemar against definitions, and the command."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.bundles import find_task_bundle
from ml.errors import ComparisonRefused
from ml.workshop.cli import main
from ml.workshop.evaluation.comparison import (
    Predictions,
    compare_predictions,
    measure_delong,
    read_predictions,
    run_delong,
    run_mcnemar,
)
from tests.ml.conftest import ALONE_SET

LABELS = ("normal", "disease")
# The 43 complete patients of DeLong et al. 1988, as SAS/STAT prints them (PROC LOGISTIC, ROC
# contrast): albumin, total protein, Krebs-Goplerud score, and whether surgery helped.
OVARIAN = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0
2.5 5.7  8 0   1.6 5.6  5 1   3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1
4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0   2.3 4.4  6 1   4.2 7.6  4 0
4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1
3.3 6.8  6 0   1.7 4.0  7 0   3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1
2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1   3.3 5.7  6 1   3.7 6.9  5 1
3.6 6.6  5 1
"""


def make_predictions(
    scores: NDArray[np.float64], targets: NDArray[np.int64], *, name: str = "one"
) -> Predictions:
    count = len(targets)
    return Predictions(
        name=name,
        labels=LABELS,
        images=tuple(f"{row}.png" for row in range(count)),
        groups=tuple(f"g{row // 2}" for row in range(count)),
        targets=targets,
        given=(scores > 0.5).astype(np.int64),
        probabilities=np.stack([1 - scores, scores], axis=1),
    )


def make_pair(count: int = 200) -> tuple[Predictions, Predictions]:
    """A score and a clearly better one."""
    rng = np.random.default_rng(8)
    targets = rng.integers(0, 2, count)
    weak = np.clip(0.5 + 0.1 * (targets - 0.5) + rng.normal(0, 0.2, count), 0, 1)
    strong = np.clip(0.5 + 0.9 * (targets - 0.5) + rng.normal(0, 0.2, count), 0, 1)
    return make_predictions(weak, targets), make_predictions(strong, targets, name="other")


def measure_by_pairs(
    scores: NDArray[np.float64], is_positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """DeLong's definition, every pair of a positive and a negative looked at."""
    kernels = []
    for row in scores:
        gaps = row[is_positive][:, None] - row[~is_positive][None, :]
        kernels.append((gaps > 0) + 0.5 * (gaps == 0))
    by_positive = np.stack([kernel.mean(axis=1) for kernel in kernels])
    by_negative = np.stack([kernel.mean(axis=0) for kernel in kernels])
    covariance = np.cov(by_positive) / by_positive.shape[1]
    covariance += np.cov(by_negative) / by_negative.shape[1]
    return by_positive.mean(axis=1), covariance


def test_measure_delong_agrees_with_the_definition_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    is_positive = rng.random(120) < 0.3
    # Rounded, so that many tie.
    scores = np.round(rng.normal(0, 1, (3, 120)) + is_positive, 1)
    areas, covariance = measure_delong(scores, is_positive)
    expected_areas, expected_covariance = measure_by_pairs(scores, is_positive)
    assert areas == pytest.approx(expected_areas)
    assert covariance == pytest.approx(expected_covariance)


def test_measure_delong_gives_the_published_figures() -> None:
    table = np.array(OVARIAN.split(), float).reshape(-1, 4)
    scores = np.stack([table[:, 0], table[:, 1], 10 - table[:, 2]])
    is_positive = table[:, 3] == 1
    areas, covariance = measure_delong(scores, is_positive)
    assert areas == pytest.approx([0.7366, 0.6478, 0.7258], abs=5e-5)
    assert np.sqrt(covariance.diagonal()) == pytest.approx([0.0927, 0.1000, 0.1028], abs=5e-5)
    contrast = np.array([[1, 0, -1], [0, 1, -1]])
    differences = contrast @ areas
    spread = contrast @ covariance @ contrast.T
    assert differences @ np.linalg.solve(spread, differences) == pytest.approx(2.5340, abs=5e-5)
    z, p_value = run_delong(scores[[2, 0]], is_positive)
    assert z is not None
    assert (z**2, p_value) == pytest.approx((0.0127, 0.9102), abs=5e-5)


def test_run_delong_finds_nothing_when_the_order_is_the_same() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    is_positive = np.array([False, False, True, True])
    assert run_delong(np.stack([scores, scores**2]), is_positive) == (0, 1)


def test_run_delong_is_sure_when_the_perfect_meets_the_blind() -> None:
    is_positive = np.array([False, False, True, True])
    scores = np.array([[0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.8, 0.9]])
    assert run_delong(scores, is_positive) == (None, 0)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((0, 0), 1.0), ((5, 5), 1.0), ((0, 6), 2 / 64), ((2, 8), 2 * (1 + 10 + 45) / 1024)],
)
def test_run_mcnemar_is_the_exact_binomial_test(counts: tuple[int, int], expected: float) -> None:
    assert run_mcnemar(*counts)[1] == pytest.approx(expected)
    assert run_mcnemar(*counts[::-1])[1] == pytest.approx(expected)


def test_run_mcnemar_holds_when_counts_are_large() -> None:
    assert run_mcnemar(2000, 2100)[1] == pytest.approx(0.1222, abs=5e-4)


def test_compare_predictions_finds_the_better_one() -> None:
    first, second = make_pair()
    found = compare_predictions(first, second, resamples=200)
    area = found.figures["auc.disease"]
    assert area.difference.value == pytest.approx(area.second.value - area.first.value)
    assert area.difference.low > 0
    tests = {one.figure: one for one in found.tests}
    assert tests["auc.disease"].p_value < 1e-6
    assert tests["accuracy"].p_value < 1e-6
    assert sum(found.agreement.values()) == 200


def test_compare_predictions_finds_no_difference_when_there_is_none() -> None:
    first, _ = make_pair()
    shuffled = np.random.default_rng(1).permutation(len(first.images))
    second = replace(
        first,
        images=tuple(first.images[row] for row in shuffled),
        groups=tuple(first.groups[row] for row in shuffled),
        targets=first.targets[shuffled],
        given=first.given[shuffled],
        probabilities=first.probabilities[shuffled],
    )
    found = compare_predictions(first, second, resamples=50)
    for one in found.figures.values():
        assert (one.difference.value, one.difference.low, one.difference.high) == (0, 0, 0)
    assert {one.p_value for one in found.tests} == {1}


def test_compare_predictions_refuses_other_labels_or_images() -> None:
    first, second = make_pair(20)
    with pytest.raises(ComparisonRefused, match="labels differ"):
        compare_predictions(first, replace(second, labels=("normal", "tumour")))
    with pytest.raises(ComparisonRefused, match="20 and 20 images, 19 of them"):
        compare_predictions(first, replace(second, images=("x.png", *second.images[1:])))
    with pytest.raises(ComparisonRefused, match="true labels"):
        compare_predictions(first, replace(second, targets=1 - second.targets))


def test_compare_command_sets_two_bundles_side_by_side(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(find_task_bundle(tiny_run / "bundles", "chest-xray"))
    out = tmp_path / "out"
    assert (
        main(["compare", bundle, bundle, *ALONE_SET, "--data", str(tiny_data), "--out", str(out)])
        == 0
    )
    assert "McNemar" in capsys.readouterr().out
    report = json.loads((out / "comparison.json").read_text())
    assert report["images"] == 6
    assert report["figures"]["accuracy"]["difference"]["value"] == 0
    assert "Who was right" in (out / "comparison.html").read_text()


def test_compare_command_reads_the_tables_of_evaluations(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = find_task_bundle(tiny_run / "bundles", "chest-xray") / "predictions.csv"
    with table.open(newline="") as stream:
        rows = list(csv.reader(stream))
    shorter = tmp_path / "predictions.csv"
    with shorter.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows[:-1])
    out = ["--out", str(tmp_path / "out")]
    assert main(["compare", str(table), str(table), *out]) == 0
    assert len(read_predictions(table).images) == 6
    assert main(["compare", str(table), str(shorter), *out]) == 2
    assert ComparisonRefused.code in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2\n", "path,group,label,given,x,distance,refusal\n"]
)
def test_read_predictions_refuses_other_files(content: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(content)
    with pytest.raises(ComparisonRefused):
        read_predictions(path)


def test_compare_command_needs_a_purpose_when_it_opens_the_test_split(
    tiny_run: Path, tiny_data: Path
) -> None:
    bundle = str(find_task_bundle(tiny_run / "bundles", "chest-xray"))
    with pytest.raises(SystemExit, match="--purpose"):
        main(["compare", bundle, bundle, *ALONE_SET, "--data", str(tiny_data), "--split", "test"])
