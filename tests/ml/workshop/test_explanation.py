"""Maps as data scientists get them: the tests that they must pass, and `explain`."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from ml.errors import ExplanationUnavailable
from ml.explanation import Occlusion
from ml.predictor import Predictor
from ml.workshop.cli import main
from ml.workshop.explanation.sanity import (
    MAX_GRADIENT_DIFFERENCE,
    MAX_RANDOMISED_CORRELATION,
    check_maps,
    compare_with_occlusion,
    count_faults,
    explain_inputs,
    rank_correlation,
)
from ml.workshop.task_config import find_task, load_task
from tests.ml.conftest import CHESTS, ROOT
from tests.ml.pictures import draw_case, encode_picture
from tests.ml.test_explanation import QUICK, QuadrantNetwork


@pytest.fixture(scope="module")
def kernel(released_path: Path) -> np.ndarray:
    with np.load(released_path / "head.npz") as head:
        return np.asarray(head["kernel"])


@pytest.fixture(scope="module")
def network(released_path: Path) -> Any:
    from ml.runtimes.keras_network import load_network

    return load_network(released_path)


def test_rank_correlation_is_spearmans_when_values_repeat() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, (2, 7, 5)).astype(np.float32)
    assert rank_correlation(first, second) == pytest.approx(
        spearmanr(first.ravel(), second.ravel()).statistic
    )
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)
    assert rank_correlation(first, np.zeros_like(first)) == 0


def test_check_maps_passes_on_the_shipped_bundle(
    predictor: Predictor, kernel: np.ndarray, network: Any, chests: np.ndarray
) -> None:
    figures = check_maps(predictor.runtime, kernel, network, chests, occlusion=QUICK)
    assert figures.gradient_difference <= MAX_GRADIENT_DIFFERENCE
    assert figures.randomised_correlation < MAX_RANDOMISED_CORRELATION
    assert figures.blank_when_supported == 0
    assert figures.black_range == 0
    assert -1 <= figures.occlusion_correlation <= 1
    assert figures.is_passed


def test_check_maps_fails_when_the_kernel_is_not_the_networks(
    predictor: Predictor, kernel: np.ndarray, network: Any, chests: np.ndarray
) -> None:
    figures = check_maps(predictor.runtime, kernel[::-1], network, chests[:1], occlusion=QUICK)
    assert figures.gradient_difference > MAX_GRADIENT_DIFFERENCE
    assert not figures.is_passed


def test_explain_inputs_is_flat_when_an_image_is_black(
    predictor: Predictor, kernel: np.ndarray, chests: np.ndarray
) -> None:
    supports, maps = explain_inputs(
        predictor.runtime, kernel, np.stack([np.zeros_like(chests[0]), chests[0]])
    )
    assert np.isfinite(maps).all()
    assert maps[0].max() == maps[0].min() == 0
    assert count_faults(supports, maps) == 0
    assert maps[1].max() == 1


def test_count_faults_counts_maps_that_are_blank_though_supported_or_no_numbers() -> None:
    supports = np.ones((1, 3, 2, 2), np.float32)
    supports[0, 2] = -1
    maps = np.ones_like(supports)
    maps[0, 0] = 0
    maps[0, 1] = np.nan
    maps[0, 2] = 0
    assert count_faults(supports, maps) == 2


def test_compare_with_occlusion_agrees_when_every_place_speaks_for_itself() -> None:
    levels = np.array([[90.0, 10.0], [120.0, 250.0]])
    image = np.kron(levels, np.ones((4, 4)))[..., np.newaxis].astype(np.float32)
    runtime = QuadrantNetwork()
    cover = Occlusion(side=0.5, step=0.5)
    assert compare_with_occlusion(runtime, runtime.kernel, image, cover) > 0.5


def test_gradient_maps_change_when_a_reference_networks_weights_are_shuffled() -> None:
    from ml.workshop.explanation.gradients import (
        FEATURES,
        LOGITS,
        measure_gradient_support,
        open_layers,
        randomise,
    )
    from ml.workshop.training.network import build_network

    config = load_task(
        find_task("chest-xray"),
        overrides={
            "model.backbone": "cnn5-64",
            "model.weights": "none",
            "model.width": 0.25,
            "input.size": 64,
        },
    )
    opened = open_layers(build_network(config), logits=LOGITS, features=FEATURES)
    rng = np.random.default_rng(6)
    images = np.stack([draw_case("pneumonia", rng, 64) for _ in range(2)])[..., np.newaxis]
    supports = measure_gradient_support(opened, images.astype(np.float32))
    shuffled = measure_gradient_support(randomise(opened, seed=1), images.astype(np.float32))
    assert supports.shape[:2] == (2, 3)
    assert np.isfinite(supports).all()
    assert np.ptp(supports) > 0
    pairs = zip(supports.reshape(6, -1), shuffled.reshape(6, -1), strict=True)
    assert np.mean([abs(rank_correlation(one, other)) for one, other in pairs]) < 0.9


def test_open_layers_finds_the_last_maps_when_no_layer_is_named(network: Any) -> None:
    from ml.workshop.explanation.gradients import LOGITS, open_layers

    opened = open_layers(network, logits=LOGITS)
    assert opened.outputs[1].shape[1:] == network.get_layer("features").output.shape[1:]
    with pytest.raises(ExplanationUnavailable):
        open_layers(network, logits="no_such_layer")


def explain(out: Path, *arguments: str) -> int:
    return main(
        ["explain", "--task", "chest-xray", "--device", "cpu", "--out", str(out), *arguments]
    )


@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_explain_command_writes_a_picture_and_the_maps(
    tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chest = str(ROOT / "samples" / CHESTS[1] / "01.dcm")
    assert explain(tmp_path, "--method", method, "--label", "pneumonia", chest) == 0
    answer = json.loads((tmp_path / "000-01.json").read_text())
    assert answer["path"] == chest
    assert answer["explained_label"] == "pneumonia"
    # On one scale, and none for "normal".
    assert list(answer["maps"]) == ["pneumonia", "tuberculosis"]
    for label, rows in answer["maps"].items():
        assert 0 <= np.min(rows) <= np.max(rows) <= answer["probabilities"][label] + 1e-4
    assert answer["explanation"].startswith("pneumonia, peak ")
    assert answer["explanation"] in capsys.readouterr().out
    with Image.open(tmp_path / f"000-01.pneumonia.{method}.png") as picture:
        assert picture.width > picture.height
        shown = np.asarray(picture, int)
    half = shown.shape[1] // 2
    assert np.ptp(shown[:, :half], axis=2).max() == 0
    assert np.abs(shown[:, half:] - shown[:, :half]).max() > 50


def test_explain_command_gives_the_same_map_by_gradients_as_from_the_forward_pass(
    tmp_path: Path, released_path: Path
) -> None:
    """At the network's own size: gradients are taken there, whatever size the maps have."""
    chest = str(ROOT / "samples" / CHESTS[1] / "01.dcm")
    found = {}
    for method in ("cam", "gradcam"):
        options = ("--method", method, "--bundle", str(released_path))
        assert explain(tmp_path / method, *options, chest) == 0
        found[method] = json.loads((tmp_path / method / "000-01.json").read_text())
    assert found["cam"]["explained_label"] == found["gradcam"]["explained_label"]
    for label, rows in found["cam"]["maps"].items():
        np.testing.assert_allclose(rows, found["gradcam"]["maps"][label], atol=2e-4)


def test_explain_command_checks_the_maps_and_goes_on_behind_a_broken_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    black = tmp_path / "black.png"
    black.write_bytes(encode_picture(np.zeros((128, 128), np.uint8)))
    chest = str(ROOT / "samples" / CHESTS[0] / "01.dcm")
    files = [str(tmp_path / "bad.png"), str(black), chest]
    assert explain(tmp_path / "out", "--check", *files) == 1
    printed = capsys.readouterr().out
    assert "bad.png: image_unreadable" in printed
    figures = json.loads((tmp_path / "out" / "sanity.json").read_text())
    assert figures["is_passed"] is True
    assert figures["images"] == 1
    maps = json.loads((tmp_path / "out" / "001-black.json").read_text())["maps"]
    assert {value for rows in maps.values() for row in rows for value in row} == {0.0}
    assert len(list((tmp_path / "out").glob("002-01.*.cam.png"))) == 1


@pytest.mark.parametrize("label", ["gout", "normal"])
def test_explain_command_refuses_a_label_that_is_no_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    chest = str(ROOT / "samples" / CHESTS[0] / "01.dcm")
    assert explain(tmp_path, "--label", label, chest) == 1
    assert "explanation_unavailable" in capsys.readouterr().out


def strict(bundle: Path, folder: Path) -> Path:
    """A copy of the bundle that finds a disease only where it is all but certain."""
    copy = Path(shutil.copytree(bundle, folder / "chest-xray" / bundle.name))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["operating"]["thresholds"] |= {"pneumonia": 0.99, "tuberculosis": 0.99}
    manifest["operating"]["bands"] = {}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_explain_command_says_that_what_it_draws_was_not_found(
    tmp_path: Path, released_path: Path
) -> None:
    chest = str(ROOT / "samples" / "chest-normal-adult-2" / "01.dcm")
    assert explain(tmp_path, "--bundle", str(strict(released_path, tmp_path)), chest) == 0
    answer = json.loads((tmp_path / "000-01.json").read_text())
    assert answer["explained_label"] != "normal"
    assert answer["explanation"].endswith("not found; the map shows what little there is")
    with Image.open(next(tmp_path.glob("*.png"))) as picture:
        shown = np.asarray(picture, int)
    half = shown.shape[1] // 2
    probability = answer["probabilities"][answer["explained_label"]]
    assert np.abs(shown[:, half:] - shown[:, :half]).max() <= 255 * probability < 10
