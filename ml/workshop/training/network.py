"""The network: a backbone and its head in one flat functional graph, for any Keras backend."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from numpy.typing import NDArray

from ml.workshop.backbones import NONE
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.backbones import BACKBONES
from ml.workshop.training.weights import FEATURES, load_weights

EMBEDDING = "embedding"
LOGITS = "logits"
FLOAT32 = "float32"
# Of batch norms whose statistics learn.
MAX_MOMENTUM = 0.9

__all__ = [
    "EMBEDDING",
    "FEATURES",
    "FLOAT32",
    "LOGITS",
    "build_network",
    "build_unfilled",
    "keep_labels",
]


def build_network(config: TaskConfig, *, precision: str = FLOAT32, turns: int = 0) -> Any:
    """A flat functional model from images (0..255) to logits, its inner layers named.

    `features` are the last maps (N x h x w x C), `embedding` their mean (N x C). Because only a
    dense layer follows the mean, the class activation map is the maps weighted by its kernel. The
    two reference networks have a hidden layer instead, whose activations are the embedding.
    `precision` is a Keras dtype policy; weights and logits are float32 whichever it is. `turns`
    more logits follow those of the labels, for a network that learns how an image lies. Raises
    TaskConfigInvalid when the first weights are of another network.
    """
    entry = BACKBONES[config.model.backbone]
    spec = config.input
    with _policy(precision):
        images = keras.Input((spec.size, spec.size, spec.channels), name="image")
        backbone = entry.build(entry.scaling.apply(images), config.model.width)
        load_weights(backbone, entry, config)
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                _prepare_norm(layer, is_fixed=config.model.fixed_norms)
        maps = keras.layers.Identity(name=FEATURES)(backbone.output)
        embedding = _embed(maps, entry.limits.hidden)
        kept = keras.layers.Dropout(config.model.dropout)(embedding)
        outputs = len(config.data.labels) + turns
        logits = keras.layers.Dense(outputs, dtype=FLOAT32, name=LOGITS)(kept)
        return keras.Model(images, logits, name=config.task.replace("-", "_"))


def build_unfilled(config: TaskConfig, *, precision: str = FLOAT32, turns: int = 0) -> Any:
    """The same network without its first weights, to be filled from elsewhere."""
    model = dataclasses.replace(config.model, weights=NONE)
    unfilled = dataclasses.replace(config, model=model)
    return build_network(unfilled, precision=precision, turns=turns)


def keep_labels(weights: Sequence[NDArray[Any]], labels: int) -> list[NDArray[Any]]:
    """The weights of a network without the logits that follow those of its labels."""
    *backbone, kernel, bias = weights
    return [*backbone, kernel[:, :labels], bias[:labels]]


def _prepare_norm(norm: Any, *, is_fixed: bool) -> None:
    """Fix a batch norm, or let its statistics follow a training of few steps.

    Weights may carry no statistics, so fixing matters; training=False is not enough, because
    fit() overrides it. Statistics that learn do so with the momentum of the backbone (0.999 in
    MobileNetV2), made for hundreds of thousands of steps: after a few thousand they still were
    those of ImageNet, and validation collapsed while the training loss fell.
    """
    norm.trainable = not is_fixed
    norm.momentum = min(norm.momentum, MAX_MOMENTUM)


def _embed(maps: Any, hidden: int) -> Any:
    if not hidden:
        return keras.layers.GlobalAveragePooling2D(name=EMBEDDING)(maps)
    flat = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(maps))
    return keras.layers.Dense(hidden, activation="relu", name=EMBEDDING)(flat)


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    """Layers made inside compute in that precision; the backbones of Keras take no such option."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
