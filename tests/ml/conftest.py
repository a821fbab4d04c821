"""The real samples where they are at hand, the shipped bundle, and a bundle trained in the test."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from ml.bundles import find_task_bundle
from ml.images import read_frames
from ml.manifest import MANIFEST
from ml.predictor import Predictor, open_predictor
from ml.preprocessing import prepare_frame
from ml.signing import SIGNATURE
from ml.workshop import rejects
from ml.workshop.cli import main
from ml.workshop.commands.options import BUNDLES_DIR, parse_overrides
from ml.workshop.rejects.drawn import DRAWINGS
from ml.workshop.task_config import TaskConfig, find_task, load_task
from tests.ml.pictures import write_dataset
from tests.prerequisites import SHARED, skip_or_fail

ROOT = Path(__file__).parents[2]
CHESTS = ("chest-normal-child", "chest-pneumonia-child-1", "chest-tuberculosis-1")
# The chest task's own table alone: what the tests draw has no other hospitals.
ALONE = ("data.extra=[]", 'data.excluded=""')
ALONE_SET = [part for pair in ALONE for part in ("--set", pair)]
TINY = (
    *ALONE,
    'model.backbone="residual"',
    "model.width=0.1",
    'model.weights="none"',
    "input.size=32",
    "training.epochs=1",
    "training.batch_size=6",
    "scope.max_validation_refusal=0.5",
)


def load_chest(overrides: Mapping[str, Any] | None = None) -> TaskConfig:
    """The chest task with its own table alone, unless the overrides say otherwise."""
    return load_task(
        find_task("chest-xray"), overrides={**parse_overrides(ALONE), **(overrides or {})}
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images beside the repository; CI must have it."""
    if not SHARED.is_dir():
        skip_or_fail("the real images in ../shared are not on this machine")
    return SHARED


# What manifests came to say after the first of them.
LATER = (
    "transfer",
    "confidence",
    "conformal",
    "quality",
    "series",
    "maps",
    "routing",
    "map_size",
    "external",
)


@pytest.fixture(scope="session")
def released_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chest bundle that ships, under a manifest like the first: it withholds nothing.

    Tests are about one thing each, and add to it what they are about.
    """
    shipped = find_task_bundle(BUNDLES_DIR, "chest-xray")
    copy = tmp_path_factory.mktemp("released") / "chest-xray" / shipped.name
    shutil.copytree(shipped, copy)
    (copy / SIGNATURE).unlink()
    manifest = json.loads((copy / MANIFEST).read_text())
    for name in LATER:
        manifest.pop(name, None)
    kept = ("minimum", "value", "is_met")
    manifest["gate"] = {
        figure: {name: result[name] for name in kept} for figure, result in manifest["gate"].items()
    }
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


@pytest.fixture(scope="session")
def predictor(released_path: Path) -> Predictor:
    """The bundle that ships, opened on the CPU."""
    return open_predictor(released_path, device="cpu")


@pytest.fixture(scope="module")
def chests(predictor: Predictor) -> np.ndarray:
    """Three sample radiographs, prepared for the shipped network."""
    frames = [read_frames(ROOT / "samples" / name / "01.dcm")[0] for name in CHESTS]
    return np.stack([prepare_frame(one, predictor.bundle.manifest.input) for one in frames])


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made by the first of all test processes that asks for it."""
    is_shared = "PYTEST_XDIST_WORKER" in os.environ
    folder = (factory.getbasetemp().parent if is_shared else factory.getbasetemp()) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_suffix(".part")
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty generated pictures."""
    return made_once(tmp_path_factory, "tiny-data", write_dataset)


@pytest.fixture(scope="module")
def seed_runs(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The very small training, and one that answers otherwise, as other seeds do."""
    import keras

    other = tmp_path_factory.mktemp("seeds") / "seed-8"
    shutil.copytree(tiny_run / "run", other)
    network = keras.saving.load_model(other / "best.keras", compile=False)
    head = network.get_layer("logits")
    head.set_weights([-weight for weight in head.get_weights()])
    network.save(other / "best.keras")
    return [tiny_run / "run", other]


@contextmanager
def drawing_few() -> Iterator[None]:
    """Have three rejects of each kind drawn: what they are is tested in test_rejects."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejects, "MIN_TEST_REJECTS", 50)
        for kind, (draw, _) in DRAWINGS.items():
            patch.setitem(DRAWINGS, kind, (draw, 3))
        yield


@pytest.fixture(scope="module")
def few_rejects() -> Iterator[None]:
    """Exports of a very small network, to which few things are out of scope."""
    with drawing_few():
        yield


@pytest.fixture(scope="module")
def tiny_run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training of a very small network by the command line: `run/` and `bundles/`."""

    def make(folder: Path) -> None:
        overrides = [part for pair in TINY for part in ("--set", pair)]
        run = ["--run", str(folder / "run")]
        arguments = ["chest-xray", "--data", str(tiny_data), *overrides, *run]
        (folder / "bundles").mkdir()
        with drawing_few():
            assert main(["train", *arguments]) == 0
            assert main(["export", *arguments, "--out", str(folder / "bundles")]) == 0

    made = made_once(tmp_path_factory, "tiny-run", make)
    # Tests write beside it: each file has a copy of its own.
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("training") / "own"))
