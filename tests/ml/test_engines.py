"""Every shipped bundle in both engines: the same scores in any batch and process, and no leak."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundles import Bundle, find_bundles, load_bundle
from ml.calibration import softmax
from ml.runtimes import Runtime, open_runtime
from ml.workshop.commands.options import BUNDLES_DIR
from tests.ml.conftest import ROOT
from tests.ml.pictures import LABELS, draw_case

BUNDLES = [load_bundle(path) for path in find_bundles(BUNDLES_DIR)]
NAMES = [f"{bundle.task}-{bundle.version}" for bundle in BUNDLES]
ENGINES = ("openvino", "tensorflow")
# Neither a divisor nor a multiple of a batch that an engine runs.
INPUTS = 19
PARTS = ((7, INPUTS), (1, 2))


def open_engine(name: str, bundle: Bundle) -> Runtime:
    if name == "openvino":
        return open_runtime(bundle, device="cpu")
    from ml.runtimes.tensorflow import open_tensorflow

    return open_tensorflow(bundle, needs_gpu=False)


def draw_inputs(bundle: Bundle) -> np.ndarray:
    """Pictures of the bundle's input size, with its channels."""
    spec, rng = bundle.manifest.input, np.random.default_rng(17)
    drawn = [draw_case(LABELS[number % 3], rng, spec.size) for number in range(INPUTS)]
    shades = np.linspace(1, 0.5, spec.channels)
    return np.stack([picture[..., np.newaxis] * shades for picture in drawn]).astype(np.float32)


def score_inputs(
    bundle: Bundle, engine: Runtime, batch: int = INPUTS, count: int = INPUTS
) -> np.ndarray:
    """Probabilities of the first `count` inputs, `batch` at a time."""
    inputs = draw_inputs(bundle)[:count]
    parts = [engine.predict(inputs[start : start + batch]) for start in range(0, count, batch)]
    logits = np.concatenate([part.logits for part in parts])
    return softmax(logits, temperature=bundle.manifest.temperature)


@pytest.fixture(scope="module")
def other_process(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], dict[str, np.ndarray]]:
    """The scores that a fresh process gives with an engine, by bundle."""
    folder = tmp_path_factory.mktemp("scores")

    def score(engine: str) -> dict[str, np.ndarray]:
        path = folder / f"{engine}.npz"
        if not path.exists():
            program = (
                "import numpy; from tests.ml.test_engines import *; "
                "numpy.savez(sys.argv[2], **{name: score_inputs("
                "bundle, open_engine(sys.argv[1], bundle)) "
                "for name, bundle in zip(NAMES, BUNDLES)})"
            )
            run_program("-c", program, engine, str(path))
        with np.load(path) as scores:
            return dict(scores)

    return score


def run_program(*arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bundle", BUNDLES, ids=NAMES)
def test_predict_gives_the_same_scores_in_any_batch_and_process(
    bundle: Bundle, engine: str, other_process: Callable[[str], dict[str, np.ndarray]]
) -> None:
    opened = open_engine(engine, bundle)
    together = score_inputs(bundle, opened)
    # The pictures differ, so equal scores for all would prove nothing.
    assert np.ptp(together, axis=0).max() > 1e-3
    for batch, count in PARTS:
        parted = score_inputs(bundle, opened, batch, count)
        np.testing.assert_allclose(parted, together[:count], rtol=0, atol=1e-5)
    elsewhere = other_process(engine)[f"{bundle.task}-{bundle.version}"]
    np.testing.assert_allclose(elsewhere, together, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_predict_keeps_its_memory_over_two_thousand_predictions_of_all_bundles(
    tmp_path: Path,
) -> None:
    picture = draw_case(LABELS[1], np.random.default_rng(17), 192)
    path = tmp_path / "frame.png"
    Image.fromarray(picture).save(path)
    paths = [str(bundle.path) for bundle in BUNDLES]
    printed = run_program("-m", "tests.bench.engines", "memory", str(path), "2000", *paths)
    assert json.loads(printed)["growth_mb"] <= 12
