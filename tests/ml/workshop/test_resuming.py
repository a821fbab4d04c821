"""A training that is stopped and goes on, that shares devices, and that changes its backend."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import CheckpointInvalid, DataInvalid, TaskConfigInvalid
from ml.images import read_frames
from ml.workshop.cli import main
from ml.workshop.datasets import Dataset, load_dataset
from ml.workshop.task_config import TaskConfig
from tests.ml.conftest import ALONE_SET, load_chest

ROOT = Path(__file__).parents[3]
# Everything that keeps a state between epochs: dropout, moments, average, order, mixing, stages;
# on five small convolutions, which are compiled quickly.
CHOICES: dict[str, Any] = {
    "model.backbone": "cnn5-64",
    "model.width": 0.1,
    "model.weights": "none",
    "model.fixed_norms": False,
    "model.dropout": 0.5,
    "input.size": 64,
    "augmentation.mix_share": 0.5,
    "training.epochs": 3,
    "training.batch_size": 6,
    "training.frozen_epochs": 1,
    "training.unfreeze_from": 0.5,
    "training.sampling": "balanced",
    "training.average_decay": 0.8,
    "training.turned_share": 0.3,
    "training.patience": 9,
    "training.precision": "float32",
}
# What a test trains that is about something else.
SMALL = {"training.epochs": 1, "training.frozen_epochs": 0}
# What does not come out the same on two devices: each drops units of its own.
EVEN = {"model.dropout": 0.0}
CHECKPOINT_FILES = ("latest.npz", "state.json")
TRAIN_SCRIPT = """
import sys
from collections.abc import Callable
from pathlib import Path
from tests.ml.workshop.test_resuming import EVEN, SMALL, configure
if sys.argv[3] == "mirrored":
    import tensorflow as tf
    cpus = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpus[0], halves)
from ml.workshop.datasets import load_dataset
from ml.workshop.training.loop import train_network
from ml.workshop.training.outputs import run_network
import keras, numpy as np
config = configure(**SMALL | EVEN)
dataset = load_dataset(Path(sys.argv[1]), config.data)
devices = ["cpu:0", "cpu:1"] if sys.argv[3] != "alone" else []
best = train_network(config, dataset, Path(sys.argv[2]), devices=devices)
network = keras.saving.load_model(best, compile=False)
outputs = run_network(network, dataset.of_split("val"), config)
np.savez(Path(sys.argv[2]) / "outputs.npz", logits=outputs.logits, embeddings=outputs.embeddings)
"""

BACKENDS = {
    "jax": {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    },
    "tensorflow": {"KERAS_BACKEND": "tensorflow"},
}


class Interrupted(Exception):
    """Stands for whatever ends a process."""


# Read once: the runs that a test compares must not differ because the file changed meanwhile.
BASE = load_chest(CHOICES)


def configure(**overrides: Any) -> TaskConfig:
    config = BASE
    for key, value in overrides.items():
        section, _, entry = key.partition(".")
        changed = dataclasses.replace(getattr(config, section), **{entry: value})
        config = dataclasses.replace(config, **{section: changed})
    return config


def train(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    *,
    stop_after: int = 0,
    watch: Callable[[int], None] = lambda _: None,
) -> Path:
    """Train, interrupted after that many epochs if any; `watch` sees each epoch's number."""
    from ml.workshop.training.loop import train_network

    epochs = []

    def count(epoch: int, row: dict[str, float]) -> None:
        assert row["epoch"] == epoch
        epochs.append(epoch)
        watch(epoch)
        if len(epochs) == stop_after:
            raise Interrupted

    return train_network(config, dataset, run, on_epoch=count)


def read_arrays(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / "latest.npz") as stored:
        return {name: stored[name] for name in stored.files}


def read_history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def dataset(tiny_data: Path) -> Dataset:
    return load_dataset(tiny_data, configure().data)


@pytest.fixture(scope="module")
def whole_run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs that nothing interrupted."""
    run = tmp_path_factory.mktemp("whole")
    train(configure(), dataset, run)
    return run


def test_train_network_ends_the_same_when_it_was_stopped_and_killed(
    dataset: Dataset, whole_run: Path, tmp_path: Path
) -> None:
    import keras

    kept: dict[str, bytes] = {}

    def keep(epoch: int) -> None:
        if epoch == 1:
            kept.update({name: (tmp_path / name).read_bytes() for name in CHECKPOINT_FILES})

    with pytest.raises(Interrupted):
        train(configure(), dataset, tmp_path, stop_after=2, watch=keep)
    # Killed in the second epoch, between its two files and in the middle of writing a third: it
    # goes on from the first, the head's, and is stopped once more in the middle of a stage.
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "latest.npz.part").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(Interrupted):
        train(configure(), dataset, tmp_path, stop_after=1)
    best = train(configure(), dataset, tmp_path)
    assert read_history(tmp_path) == read_history(whole_run)
    expected, found = read_arrays(whole_run), read_arrays(tmp_path)
    assert expected.keys() == found.keys()
    for name in expected.keys() - {"record"}:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6, err_msg=name)
    networks = [keras.saving.load_model(path) for path in (best, whole_run / "best.keras")]
    for one, other in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("length", [0, 100, -100])
def test_train_network_refuses_a_broken_checkpoint(
    dataset: Dataset, whole_run: Path, tmp_path: Path, length: int
) -> None:
    (tmp_path / "state.json").write_text((whole_run / "state.json").read_text())
    (tmp_path / "latest.npz").write_bytes((whole_run / "latest.npz").read_bytes()[:length])
    with pytest.raises(CheckpointInvalid):
        train(configure(), dataset, tmp_path)


def test_train_network_refuses_to_go_on_with_another_network(
    dataset: Dataset, whole_run: Path, tmp_path: Path
) -> None:
    for name in ("state.json", "latest.npz"):
        (tmp_path / name).write_bytes((whole_run / name).read_bytes())
    with pytest.raises(CheckpointInvalid, match="other choices"):
        train(configure(**{"model.width": 0.5, "training.epochs": 4}), dataset, tmp_path)
    for name in ("latest.npz", "recipe.json"):
        (tmp_path / name).unlink()
    with pytest.raises(CheckpointInvalid, match="missing"):
        train(configure(), dataset, tmp_path)


def test_train_network_writes_curves_and_leaves_a_finished_run_alone(
    dataset: Dataset, whole_run: Path
) -> None:
    assert not read_frames(whole_run / "curves.png")[0].is_constant
    assert [row["epoch"] for row in read_history(whole_run)] == ["1", "2", "3"]
    before = read_arrays(whole_run)
    train(configure(), dataset, whole_run)
    np.testing.assert_array_equal(read_arrays(whole_run)["record"], before["record"])
    state = json.loads((whole_run / "state.json").read_text())
    assert state["epoch"] == 3
    assert 1 <= state["best_epoch"] <= 3


def test_train_network_stops_for_good_when_nothing_gets_better(
    dataset: Dataset, tmp_path: Path
) -> None:
    choices = SMALL | {
        "training.epochs": 6,
        "training.patience": 1,
        # So small that float32 weights stay what they are, and so does the figure.
        "training.learning_rate": 1e-30,
        "training.average_decay": 0.0,
        "training.monitor": "val_balanced_accuracy",
    }
    train(configure(**choices), dataset, tmp_path)
    assert len(read_history(tmp_path)) == 2
    train(configure(**choices), dataset, tmp_path)
    assert len(read_history(tmp_path)) == 2


def test_plan_stages_frees_the_head_then_the_last_layers() -> None:
    from ml.workshop.training.network import build_network
    from ml.workshop.training.stages import plan_stages, prepare_stage

    config = configure()
    network = build_network(config)

    def learning(stage: Any) -> set[str]:
        prepare_stage(network, config, stage, steps=1)
        return {layer.name for layer in network.layers if layer.trainable_weights}

    head, top = (learning(stage) for stage in plan_stages(config.training))
    assert head == {"embedding", "logits"}
    assert top == head | {"block2_conv", "block3_conv", "block4_conv"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_train_network_ends_the_same_when_it_was_stopped_in_half_precision(
    dataset: Dataset, tmp_path: Path, precision: str
) -> None:
    config = configure(**{"training.precision": precision})
    train(config, dataset, tmp_path / "whole")
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(config, dataset, tmp_path / "parts", stop_after=1)
    train(config, dataset, tmp_path / "parts")
    assert read_history(tmp_path / "parts") == read_history(tmp_path / "whole")
    expected, found = (read_arrays(tmp_path / name) for name in ("whole", "parts"))
    assert expected.keys() == found.keys()
    for name in expected.keys() - {"record"}:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_train_network_keeps_float32_when_it_computes_in_half(
    dataset: Dataset, tmp_path: Path
) -> None:
    import keras

    choices = SMALL | {"training.precision": "mixed_float16"}
    network = keras.saving.load_model(train(configure(**choices), dataset, tmp_path))
    assert {str(layer.compute_dtype) for layer in network.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    kinds = {value.dtype for value in read_arrays(tmp_path).values() if value.dtype.kind == "f"}
    assert kinds == {np.dtype("float32")}


def test_train_network_refuses_a_batch_that_devices_cannot_share(
    dataset: Dataset, tmp_path: Path
) -> None:
    from ml.workshop.training.loop import train_network

    config = configure(**{"training.batch_size": 5})
    with pytest.raises(TaskConfigInvalid, match="no multiple of the 2 devices"):
        train_network(config, dataset, tmp_path, devices=["CPU:0", "CPU:1"])


def test_train_network_names_the_image_that_cannot_be_read(tiny_data: Path, tmp_path: Path) -> None:
    config = configure(**SMALL)
    rows = load_dataset(tiny_data, config.data).examples
    broken = tmp_path / "broken.png"
    broken.write_bytes(rows[0].path.read_bytes()[:200])
    examples = (dataclasses.replace(rows[0], path=broken), *rows[1:])
    with pytest.raises(DataInvalid, match="broken.png"):
        train(config, Dataset(examples=examples, digest=""), tmp_path / "run")


def test_train_network_refuses_data_without_validation(dataset: Dataset, tmp_path: Path) -> None:
    rows = tuple(row for row in dataset.examples if row.split != "val")
    with pytest.raises(DataInvalid, match="no image in val"):
        train(configure(), Dataset(examples=rows, digest=""), tmp_path)


def test_train_command_reads_folders_of_classes(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = tiny_data / "chest-xray" / "guangzhou"
    choices = CHOICES | SMALL
    sets = [part for key, value in choices.items() for part in ("--set", f"{key}={write(value)}")]
    arguments = [
        "train",
        "chest-xray",
        *ALONE_SET,
        "--data",
        str(classes),
        "--run",
        str(tmp_path),
        *sets,
    ]
    assert main([*arguments, "--workers", "1"]) == 0
    output = capsys.readouterr()
    assert "folders of classes" in output.err
    assert "epoch 1/1" in output.err
    assert (tmp_path / "best.keras").is_file()


def write(value: Any) -> str:
    """A value as TOML has it."""
    return json.dumps(value)


@pytest.fixture(scope="module")
def trained(
    tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[Path, Any]]:
    """The run and its outputs of one epoch with a backend, `alone` or on two devices, by name.

    Each is trained once, however many tests compare it.
    """
    folder = tmp_path_factory.mktemp("elsewhere")

    def find(backend: str, kind: str) -> tuple[Path, Any]:
        run = folder / f"{backend}-{kind}"
        if not (run / "outputs.npz").exists():
            train_elsewhere(tiny_data, run, kind, **BACKENDS[backend])
        return run, np.load(run / "outputs.npz")

    return find


def train_elsewhere(data: Path, run: Path, kind: str, **environment: str) -> None:
    """Train one epoch in a process of its own, and keep its outputs for the validation split."""
    arguments = [sys.executable, "-c", TRAIN_SCRIPT, str(data), str(run), kind]
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": ".", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["alone", "parallel"])
def test_train_network_gives_the_same_logits_in_tensorflow_after_jax(
    dataset: Dataset, trained: Callable[[str, str], tuple[Path, Any]], kind: str
) -> None:
    import keras

    from ml.workshop.training.outputs import run_network

    run, found = trained("jax", kind)
    network = keras.saving.load_model(run / "best.keras", compile=False)
    outputs = run_network(network, dataset.of_split("val"), configure(**SMALL))
    np.testing.assert_allclose(outputs.logits, found["logits"], atol=1e-4)
    np.testing.assert_allclose(outputs.embeddings, found["embeddings"], atol=1e-4)
    assert np.ptp(outputs.logits) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("backend", "kind"), [("tensorflow", "mirrored"), ("jax", "parallel")])
def test_train_network_learns_the_same_when_two_devices_share_the_batches(
    trained: Callable[[str, str], tuple[Path, Any]], backend: str, kind: str
) -> None:
    (alone, one), (shared, two) = trained(backend, "alone"), trained(backend, kind)
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], atol=1e-5, err_msg=name)
    expected, found = read_arrays(alone), read_arrays(shared)
    assert expected.keys() == found.keys()
    # The moments too: AdamW's steps are the same for gradients that are too large by a factor.
    for name in expected.keys() - {"record"}:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6, err_msg=name)
    assert np.ptp(one["logits"]) > 0.01
