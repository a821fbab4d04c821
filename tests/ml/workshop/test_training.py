"""A whole training of a very small network on generated pictures, and the figures it writes."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml.bundles import load_bundle
from ml.errors import BundleInvalid, RunMismatch
from ml.images import read_frames
from ml.predictor import open_predictor
from ml.workshop.cli import main
from ml.workshop.commands.options import parse_overrides
from ml.workshop.datasets import load_dataset
from ml.workshop.evaluation.metrics import (
    bootstrap,
    calibration_error,
    macro_auc,
    roc_auc,
    score_labels,
)
from ml.workshop.training.augmentation import augment_display
from tests.ml.conftest import ALONE_SET, TINY, load_chest
from tests.ml.pictures import draw_case, encode_picture

VERSION = load_chest().version
OVERRIDES = [part for pair in TINY for part in ("--set", pair)]


def test_train_command_leaves_a_bundle_that_predicts(tiny_run: Path) -> None:
    predictor = open_predictor(tiny_run / "bundles" / "chest-xray" / VERSION, device="cpu")
    frame = read_frames(encode_picture(draw_case("normal", np.random.default_rng(1))))[0]
    (prediction,) = predictor.predict([frame])
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    manifest = predictor.bundle.manifest
    assert manifest.training.images == {"train": 18, "val": 6, "test": 6}
    assert manifest.parity.max_difference <= 1e-3
    assert manifest.metrics["accuracy"].images == 6


def test_train_command_writes_the_whole_record(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run / "bundles" / "chest-xray" / VERSION)
    with (bundle.path / "curves.csv").open(newline="") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1"]
    with (bundle.path / "predictions.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 6
    report = json.loads((bundle.path / "evaluation.json").read_text())
    assert set(report["baseline"]) >= {"accuracy", "macro_auc", "headline_auc"}
    assert report["by_source"].keys() == {
        f"guangzhou/{label}" for label in ("normal", "pneumonia", "tuberculosis")
    }
    for picture in ("curves.png", "confusion.png", "roc.png"):
        assert not read_frames(bundle.path / picture)[0].is_constant


@pytest.mark.parametrize(
    ("override", "named"), [("training.epochs", "config"), ("data.mapping", "rows")]
)
def test_train_network_refuses_a_run_that_was_begun_otherwise(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, override: str, named: str
) -> None:
    from ml.workshop.training.loop import train_network

    run = shutil.copytree(tiny_run / "run", tmp_path / "run")
    before = (run / "history.csv").read_text()
    value = 2 if override == "training.epochs" else {"normal": "pneumonia"}
    overrides = {**parse_overrides(TINY), override: value}
    config = load_chest(overrides)
    with pytest.raises(RunMismatch, match=named):
        train_network(config, load_dataset(tiny_data, config.data), run)
    assert (run / "history.csv").read_text() == before


def test_train_command_begins_a_run_anew_when_it_failed_before_an_epoch(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["train", "chest-xray", "--data", str(tiny_data), *OVERRIDES]
    run += ["--run", str(tmp_path / "run")]
    weights = tmp_path / "broken.weights.h5"
    weights.write_bytes(b"no weights")
    assert main([*run, "--set", f'model.weights="{weights}"']) == 2
    assert (tmp_path / "run" / "recipe.json").exists()
    capsys.readouterr()
    assert main(run) == 0, capsys.readouterr().err


def test_export_command_keeps_a_version_that_exists(
    tiny_run: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tiny_run / "bundles" / "chest-xray" / VERSION
    digest = load_bundle(target).digest
    places = ["--run", str(tiny_run / "run"), "--out", str(tiny_run / "bundles")]
    assert main(["export", "chest-xray", "--data", str(tiny_data), *OVERRIDES, *places]) == 2
    assert BundleInvalid.code in capsys.readouterr().err
    assert load_bundle(target).digest == digest


def test_evaluate_command_gives_the_figures_of_the_export(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A copy: the look at the test split is noted beside it.
    task = shutil.copytree(tiny_run / "bundles" / "chest-xray", tmp_path / "chest-xray")
    bundle = load_bundle(task / VERSION)
    places = ["--bundle", str(bundle.path), "--out", str(tmp_path), "--device", "cpu"]
    places += ["--purpose", "the same figures again"]
    assert main(["evaluate", *ALONE_SET, "--data", str(tiny_data), *places]) == 0
    assert "thumbnail baseline" in capsys.readouterr().out
    written = json.loads((tmp_path / "evaluation.json").read_text())
    for name, metric in bundle.manifest.metrics.items():
        assert written["metrics"][name]["value"] == pytest.approx(metric.value, abs=1e-6)


def test_train_command_refuses_when_the_weights_are_missing(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--run", str(tmp_path / "run")]
    missing = ["--set", 'model.weights="nowhere.h5"', "--set", "input.size=32"]
    assert main(["train", "chest-xray", "--data", str(tiny_data), *missing, *places]) == 2
    assert "no weights file" in capsys.readouterr().err


def test_augment_display_changes_the_image_the_same_way_for_the_same_seed() -> None:
    config = load_chest().augmentation
    picture = draw_case("pneumonia", np.random.default_rng(0))

    def draw(seed: int) -> np.ndarray:
        return augment_display(picture, config, np.random.default_rng(seed))

    np.testing.assert_array_equal(draw(1), draw(1))
    drawn = [draw(seed) for seed in range(30)]
    assert all(one.shape == picture.shape and one.dtype == np.uint8 for one in drawn)
    assert sum(not np.array_equal(one, picture) for one in drawn) > 20


def test_roc_auc_counts_ties_half_and_is_undefined_without_both_classes() -> None:
    is_positive = np.array([True, True, False, False])
    assert roc_auc(np.array([0.9, 0.5, 0.5, 0.1]), is_positive) == pytest.approx(0.875)
    assert roc_auc(np.array([0.9, 0.8, 0.2, 0.1]), is_positive) == 1
    assert np.isnan(roc_auc(np.ones(2), np.array([True, True])))


def test_metrics_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(6)
    targets = rng.integers(0, 3, 400)
    scores = rng.dirichlet(np.ones(3), 400) + 0.5 * np.eye(3)[targets]
    scores /= scores.sum(axis=1, keepdims=True)
    given = scores.argmax(axis=1)
    found = score_labels(targets, given, ("a", "b", "c"))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(targets, given))
    assert found["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(targets, given)
    )
    expected = metrics.precision_recall_fscore_support(targets, given)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        assert [found[f"{name}.{label}"] for label in "abc"] == pytest.approx(list(values))
    expected_auc = metrics.roc_auc_score(targets, scores, multi_class="ovr")
    assert macro_auc(scores, targets) == pytest.approx(expected_auc)


def test_calibration_error_is_large_when_the_network_is_sure_and_wrong() -> None:
    sure = np.tile([0.99, 0.01], (100, 1))
    assert calibration_error(sure, np.zeros(100, int)) == pytest.approx(0.01)
    assert calibration_error(sure, np.ones(100, int)) == pytest.approx(0.99)


def test_bootstrap_is_wider_when_images_come_in_groups() -> None:
    values = np.repeat(np.random.default_rng(3).integers(0, 2, 40), 10)

    def width(groups: list[str]) -> float:
        found = bootstrap(lambda rows: {"mean": float(values[rows].mean())}, groups, resamples=300)
        return found["mean"].high - found["mean"].low

    alone = width([str(index) for index in range(400)])
    grouped = width([str(index // 10) for index in range(400)])
    assert grouped > 2 * alone
