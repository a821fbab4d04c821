"""Every shipped bundle in both engines on samples of its own kind: one score, and maps to trust."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.bundles import HEAD, KERAS_NETWORK, OPENVINO_WEIGHTS, find_bundles, load_bundle
from ml.calibration import softmax
from ml.explanation import Occlusion
from ml.images import read_frames
from ml.predictor import Predictor, open_predictor
from ml.preprocessing import prepare_frame
from ml.workshop.commands.options import BUNDLES_DIR
from ml.workshop.explanation.sanity import (
    MAX_GRADIENT_DIFFERENCE,
    MAX_RANDOMISED_CORRELATION,
    check_maps,
)
from tests.ml.conftest import ROOT

pytestmark = pytest.mark.slow

BUNDLES = find_bundles(BUNDLES_DIR)
# Samples that a task is for; the router meets one of each.
SAMPLES = {
    "brain-mri": ("brain-glioma", "brain-meningioma", "brain-no-tumor"),
    "chest-xray": ("chest-normal-child", "chest-pneumonia-child-1", "chest-tuberculosis-1"),
    "lung-ct": ("lung-ct-malignant",),
    "skin-lesion": ("skin-drawn",),
    "retina": ("eye-drawn",),
    "head-ct": ("ct-of-no-task",),
    "body-part": ("brain-glioma", "chest-normal-adult-1", "lung-ct-malignant", "skin-drawn"),
}
# A step of half is quick: four covers.
QUICK = Occlusion(side=0.5, step=0.5)


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle's predictor, its Keras model, and samples prepared for it."""

    predictor: Predictor
    network: Any
    inputs: np.ndarray


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def opened(request: pytest.FixtureRequest) -> Opened:
    from ml.runtimes.keras_network import load_network

    predictor = open_predictor(request.param, device="cpu")
    spec = predictor.bundle.manifest.input
    files = [
        next(file for file in sorted((ROOT / "samples" / name).iterdir()) if file.is_file())
        for name in SAMPLES[predictor.bundle.task]
    ]
    inputs = np.stack([prepare_frame(read_frames(file)[0], spec) for file in files])
    return Opened(predictor, load_network(request.param), inputs)


def test_every_task_that_ships_has_samples_here() -> None:
    assert {path.parent.name for path in BUNDLES} == set(SAMPLES)


def test_both_engines_give_one_score_for_each_sample(opened: Opened) -> None:
    from ml.runtimes.tensorflow import trace_network

    manifest = load_bundle(opened.predictor.bundle.path).manifest
    shipped = opened.predictor.runtime.predict(opened.inputs).logits
    other = trace_network(opened.network).predict(opened.inputs).logits
    scores = [softmax(logits, temperature=manifest.temperature) for logits in (shipped, other)]
    assert np.abs(scores[0] - scores[1]).max() <= manifest.parity.tolerance
    np.testing.assert_array_equal(scores[0].argmax(axis=1), scores[1].argmax(axis=1))
    assert np.ptp(shipped, axis=1).min() > 1


def test_weights_of_both_engines_lie_in_one_file(opened: Opened, tmp_path: Path) -> None:
    from ml.runtimes.keras_network import load_network
    from ml.workshop.exporting.weight_places import write_keras_network

    shutil.copy(opened.predictor.bundle.path / OPENVINO_WEIGHTS, tmp_path)
    assert write_keras_network(opened.network, tmp_path)
    found = zip(opened.network.weights, load_network(tmp_path).weights, strict=True)
    assert all(np.array_equal(one, other) for one, other in found)
    assert (tmp_path / KERAS_NETWORK).stat().st_size < 300_000


def test_weights_that_openvino_has_not_are_left_to_keras(opened: Opened, tmp_path: Path) -> None:
    from ml.workshop.exporting.weight_places import write_keras_network

    (tmp_path / OPENVINO_WEIGHTS).write_bytes(bytes(1000))
    assert not write_keras_network(opened.network, tmp_path)
    assert not (tmp_path / KERAS_NETWORK).exists()


def test_maps_follow_the_weights_and_equal_those_by_gradients(opened: Opened) -> None:
    with np.load(opened.predictor.bundle.path / HEAD) as head:
        kernel = np.asarray(head["kernel"])
    figures = check_maps(
        opened.predictor.runtime, kernel, opened.network, opened.inputs, occlusion=QUICK
    )
    assert figures.gradient_difference <= MAX_GRADIENT_DIFFERENCE
    assert figures.randomised_correlation < MAX_RANDOMISED_CORRELATION
    assert figures.blank_when_supported == 0
    assert figures.black_range == 0
    assert figures.is_passed
