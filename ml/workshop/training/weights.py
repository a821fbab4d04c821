"""First weights of a backbone: from a file of Keras or PyTorch, ImageNet, a run or a bundle."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from ml.errors import RuntimeUnavailable, TaskConfigInvalid
from ml.runtimes.keras_network import load_network
from ml.workshop.backbones import IMAGENET, NONE, TORCH_SUFFIX
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.backbones import Backbone
from ml.workshop.training.backbones.efficientnet_lite import read_weights
from ml.workshop.training.backbones.scaling import SCALING, Plain

FEATURES = "features"
# What Keras, h5py and zipfile raise on files that hold something else.
READING_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, pickle.PickleError)


def load_weights(backbone: Any, entry: Backbone, config: TaskConfig) -> None:
    """Fill a freshly built backbone as `model.weights` says.

    That is `none`, `imagenet` (Keras fetches them), a `.h5` of the backbone without its top, a
    `.pth` of EfficientNet-Lite, or the `.keras` of a run or the folder of a bundle of the same
    backbone, of any task: then its head stays behind. Raises TaskConfigInvalid when the file is
    missing or holds another network.
    """
    weights = config.model.weights
    if weights == NONE:
        return
    if weights == IMAGENET and entry.publish:
        source = _fetch_imagenet(entry.publish, config)
    elif not Path(weights).exists():
        raise TaskConfigInvalid(path=config.task, detail=f"no weights file {weights}")
    else:
        try:
            source = _read_file(Path(weights), entry, config)
        except (*READING_ERRORS, RuntimeUnavailable) as error:
            detail = f"{weights} doesn't hold the weights of {config.model.backbone} ({error})"
            raise TaskConfigInvalid(path=config.task, detail=detail) from error
    try:
        copy_layers(source, backbone.layers)
    except ValueError as error:
        raise TaskConfigInvalid(path=config.task, detail=f"{weights}: {error}") from error


def copy_layers(source: Sequence[Any], target: Sequence[Any]) -> None:
    """Copy weights layer by layer in the order of the graph, the fixed scaling left out.

    By order, not by name, because some layers are numbered as the process made them; kinds and
    shapes must agree, or ValueError is raised and nothing is copied.
    """
    givers, takers = _with_weights(source), _with_weights(target)
    pairs = list(zip(givers, takers, strict=False))
    fits = len(givers) == len(takers) and all(
        type(giver) is type(taker) and _shapes(giver) == _shapes(taker) for giver, taker in pairs
    )
    if not fits:
        raise ValueError("these are the weights of another backbone, width or number of channels")
    for giver, taker in pairs:
        taker.set_weights(giver.get_weights())


def _with_weights(layers: Sequence[Any]) -> list[Any]:
    return [layer for layer in layers if layer.weights and layer.name != SCALING]


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _fetch_imagenet(publish: Callable[[int, float], Any], config: TaskConfig) -> Sequence[Any]:
    try:
        return list(publish(config.input.size, config.model.width).layers)
    except Exception as error:
        # Keras raises a bare Exception when it can't fetch them.
        detail = f"the ImageNet weights can't be fetched ({error}); give a file"
        raise TaskConfigInvalid(path=config.task, detail=detail) from error


def _read_file(path: Path, entry: Backbone, config: TaskConfig) -> Sequence[Any]:
    """Layers of a network that holds the file's weights."""
    if path.suffix == ".keras" or path.is_dir():
        layers = load_network(path).layers
        names = [layer.name for layer in layers]
        if FEATURES not in names:
            raise ValueError("it isn't the network of a run")
        return list(layers[: names.index(FEATURES)])
    channels = config.input.channels if isinstance(entry.scaling, Plain) else 3
    images = keras.Input((config.input.size, config.input.size, channels))
    fresh = entry.build(images, config.model.width)
    if path.suffix == TORCH_SUFFIX:
        read_weights(fresh, path)
    else:
        fresh.load_weights(path)
    return list(fresh.layers)
