"""The backbones: shapes, scaling, first weights from every kind of file, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import TaskConfigInvalid
from ml.workshop.commands.options import BUNDLES_DIR
from ml.workshop.commands.train import EPILOG
from ml.workshop.task_config import TaskConfig, find_task, load_task
from tests.ml.conftest import load_chest

# Backbone, input size and the maps' grid; one of each family, as the larger are slow to build.
POOLED = [
    ("mobilenetv2", 64, 2),
    ("resnet50", 32, 1),
    ("vgg16", 64, 2),
    ("densenet121", 32, 1),
    ("inceptionv3", 96, 1),
    ("efficientnetv2b0", 32, 1),
    ("efficientnetlite0", 64, 2),
    ("efficientnetlite2", 32, 1),
    ("residual", 64, 2),
]


def configure(backbone: str, size: int, **overrides: Any) -> TaskConfig:
    choices = {
        "model.backbone": backbone,
        "model.weights": "none",
        "model.width": 1.0,
        "model.fixed_norms": True,
        "input.size": size,
        "input.colour": "grey",
    }
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_chest(choices | named)


def draw_images(config: TaskConfig) -> np.ndarray:
    shape = (2, config.input.size, config.input.size, config.input.channels)
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.float32)


def read_features(network: Any, images: np.ndarray) -> np.ndarray:
    import keras

    features = keras.Model(network.inputs[0], network.get_layer("features").output)
    return np.asarray(features(images, training=False))


def test_build_network_lets_statistics_follow_within_a_short_training() -> None:
    """Of images twice as bright as the weights knew, a few steps must show in validation mode."""
    import keras

    from ml.workshop.training.network import build_network

    network = build_network(configure("mobilenetv2", 32, model__fixed_norms=False))
    norms = [
        layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = np.asarray(norms[0].moving_variance)
    images = 255 * np.random.default_rng(2).random((8, 32, 32, 1), np.float32)
    for _ in range(20):
        network(images, training=True)
    seen = keras.Model(network.inputs[0], norms[0].input)(images)
    actual = np.var(np.asarray(seen), axis=(0, 1, 2))
    left = np.abs(np.asarray(norms[0].moving_variance) - actual) / np.abs(before - actual)
    assert left.max() < 0.2


@pytest.mark.parametrize(("backbone", "size", "grid"), POOLED)
def test_build_network_has_its_three_outputs_and_fixed_batch_norms(
    backbone: str, size: int, grid: int
) -> None:
    from ml.workshop.exporting.artefacts import open_outputs
    from ml.workshop.training.backbones import BACKBONES
    from ml.workshop.training.network import build_network

    network = build_network(configure(backbone, size))
    logits, maps, embedding = open_outputs(network).outputs
    assert logits.shape == (None, 3)
    assert maps.shape[1:3] == (grid, grid)
    assert embedding.shape == (None, maps.shape[3])
    norms = [layer for layer in network.layers if "BatchNormalization" in type(layer).__name__]
    assert bool(norms) == (backbone != "vgg16")
    assert not any(layer.trainable for layer in norms)
    assert BACKBONES[backbone].is_exportable


@pytest.mark.parametrize(
    ("backbone", "size", "grid", "parameters"),
    [("cnn4-150", 150, 15, 1_993_987), ("cnn5-64", 64, 4, 2_093_315)],
)
def test_build_network_keeps_the_references_as_published(
    backbone: str, size: int, grid: int, parameters: int
) -> None:
    from ml.workshop.training.backbones import BACKBONES
    from ml.workshop.training.network import build_network

    network = build_network(configure(backbone, size))
    assert network.get_layer("features").output.shape[1:3] == (grid, grid)
    assert network.count_params() == parameters
    assert len(network.get_layer("embedding").output.shape) == 2
    assert not BACKBONES[backbone].is_exportable


def test_train_command_help_names_every_backbone() -> None:
    from ml.workshop.training.backbones import BACKBONES

    assert set(BACKBONES) <= set(EPILOG.split())


def test_residual_is_a_compact_network() -> None:
    from ml.workshop.training.network import build_network

    assert 1.2e6 < build_network(configure("residual", 64)).count_params() < 1.4e6


def test_keep_labels_leaves_the_logits_of_the_labels_as_they_were() -> None:
    from ml.workshop.training.network import build_network, build_unfilled, keep_labels

    config = configure("residual", 64)
    learning, kept = build_network(config, turns=4), build_unfilled(config)
    labels = len(config.data.labels)
    kept.set_weights(keep_labels(learning.get_weights(), labels))
    images = np.random.default_rng(1).uniform(0, 255, (2, *learning.inputs[0].shape[1:]))
    logits = learning.predict(images, verbose=0)
    assert logits.shape == (2, labels + 4)
    np.testing.assert_allclose(kept.predict(images, verbose=0), logits[:, :labels], atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "size", "width", "message"),
    [
        ("alexnet", 64, 1.0, "'alexnet' must be one of"),
        ("mobilenetv2", 70, 1.0, "multiple of 32"),
        ("inceptionv3", 64, 1.0, "from 96 on"),
        ("cnn4-150", 160, 1.0, "multiple of 150"),
        ("densenet121", 64, 0.5, "always 1.0"),
    ],
)
def test_build_network_refuses_what_the_backbone_cannot_be(
    backbone: str, size: int, width: float, message: str
) -> None:
    from ml.workshop.training.network import build_network

    with pytest.raises(TaskConfigInvalid, match=message):
        build_network(configure(backbone, size, model__width=width))


@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize(
    ("backbone", "mode"), [("vgg16", "caffe"), ("densenet121", "torch"), ("mobilenetv2", "tf")]
)
def test_build_network_scales_as_the_published_weights_want(
    backbone: str, mode: str, colour: str
) -> None:
    import keras
    from keras.applications import imagenet_utils

    from ml.workshop.training.backbones import BACKBONES

    config = configure(backbone, 32, input__colour=colour)
    images = keras.Input((32, 32, config.input.channels))
    scaled = keras.Model(images, BACKBONES[backbone].scaling.apply(images))
    levels = draw_images(config)
    shown = np.repeat(levels, 3, axis=-1) if colour == "grey" else levels
    expected = imagenet_utils.preprocess_input(shown.copy(), mode=mode)
    np.testing.assert_allclose(np.asarray(scaled(levels)), expected, atol=1e-3)


@pytest.mark.parametrize("backbone", ["mobilenetv2", "inceptionv3", "residual", "cnn5-64"])
def test_build_network_has_the_features_of_the_weights_file(backbone: str, tmp_path: Path) -> None:
    import keras

    from ml.workshop.training.backbones import BACKBONES
    from ml.workshop.training.network import build_network

    size = {"inceptionv3": 96, "cnn5-64": 64}.get(backbone, 32)
    width = 1.0 if backbone == "inceptionv3" else 0.35
    config = configure(backbone, size, model__width=width)
    channels = 1 if backbone in ("residual", "cnn5-64") else 3
    images = keras.Input((size, size, channels))
    source = BACKBONES[backbone].build(images, width)
    source.save_weights(tmp_path / "first.weights.h5")
    path = str(tmp_path / "first.weights.h5")
    network = build_network(configure(backbone, size, model__width=width, model__weights=path))
    levels = draw_images(config)
    scaled = keras.Input((size, size, 1))
    shown = keras.Model(scaled, BACKBONES[backbone].scaling.apply(scaled))(levels)
    expected = np.asarray(source(shown, training=False))
    np.testing.assert_allclose(read_features(network, levels), expected, atol=1e-4)


def test_build_network_starts_from_the_run_of_another_task(tmp_path: Path) -> None:
    from ml.workshop.training.network import build_network

    pretrained = build_network(configure("residual", 32, model__width=0.25))
    pretrained.save(tmp_path / "best.keras")
    path = str(tmp_path / "best.keras")
    retina = load_task(
        find_task("retina"),
        overrides={
            "model.backbone": "residual",
            "model.width": 0.25,
            "model.weights": path,
            "input.size": 32,
            "input.colour": "grey",
        },
    )
    network = build_network(retina)
    levels = draw_images(retina)
    np.testing.assert_array_equal(read_features(network, levels), read_features(pretrained, levels))
    assert network.output.shape == (None, 4)


@pytest.mark.parametrize("task", ["retina", "chest-xray"])
def test_build_network_starts_from_a_bundle_however_it_holds_its_weights(task: str) -> None:
    from ml.runtimes.keras_network import load_network
    from ml.workshop.training.network import build_network

    (bundle,) = (path.parent for path in (BUNDLES_DIR / task).glob("*/manifest.json"))
    config = load_task(find_task(task), overrides={"model.weights": str(bundle)})

    begun, shipped = build_network(config), load_network(bundle)

    levels = draw_images(config)
    expected = read_features(shipped, levels)
    np.testing.assert_allclose(read_features(begun, levels), expected, atol=1e-4)


def write_other_backbone(folder: Path) -> Path:
    from ml.workshop.training.network import build_network

    path = folder / "other.keras"
    build_network(configure("cnn5-64", 64, model__width=0.2)).save(path)
    return path


def write_other_weights(folder: Path) -> Path:
    from ml.workshop.training.network import build_network

    path = folder / "other.weights.h5"
    build_network(configure("cnn5-64", 64, model__width=0.2)).save_weights(path)
    return path


def write_other_network(folder: Path) -> Path:
    import keras

    path = folder / "plain.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    return path


def write_text(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text("no weights at all")
        return folder / name

    return write


@pytest.mark.parametrize(
    "write",
    [
        write_other_backbone,
        write_other_weights,
        write_other_network,
        write_text("first.h5"),
        write_text("first.weights.h5"),
        write_text("first.keras"),
        write_text("first.pth"),
        lambda folder: folder / "nowhere.h5",
    ],
)
def test_build_network_refuses_a_file_of_something_else(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    from ml.workshop.training.network import build_network

    path = str(write(tmp_path))
    with pytest.raises(TaskConfigInvalid, match="first|other|plain|nowhere|PyTorch"):
        build_network(configure("residual", 32, model__width=0.25, model__weights=path))


def test_build_network_refuses_imagenet_where_there_is_none() -> None:
    from ml.workshop.training.network import build_network

    with pytest.raises(TaskConfigInvalid, match="no ImageNet weights for residual in Keras"):
        build_network(configure("residual", 32, model__weights="imagenet"))
