"""Grad-CAM by gradients, for heads that a kernel alone doesn't describe; needs TensorFlow."""

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ml.errors import ExplanationUnavailable
from ml.workshop.training.network import FEATURES, LOGITS

__all__ = [
    "FEATURES",
    "LOGITS",
    "measure_gradient_support",
    "open_layers",
    "randomise",
]

Floats = NDArray[np.float32]


def open_layers(network: Any, *, logits: str, features: str | None = None) -> Any:
    """The network from images to (logits, feature maps); the last maps unless a layer is named.

    Raises ExplanationUnavailable when the network has no such layer.
    """
    try:
        maps = network.get_layer(features) if features else _find_last_maps(network)
        outputs = [network.get_layer(logits).output, maps.output]
    except ValueError as error:
        raise ExplanationUnavailable(method="gradcam", detail=error) from error
    return keras.Model(network.inputs[0], outputs)


def _find_last_maps(network: Any) -> Any:
    """The last layer that keeps places (N x h x w x C): what Grad-CAM is usually taken at."""
    for layer in reversed(network.layers):
        sides = list(layer.output.shape)[1:-1]
        if len(sides) == 2 and min(side or 0 for side in sides) > 1:
            return layer
    raise ValueError("no layer keeps the places of the image")


def measure_gradient_support(opened: Any, images: Floats) -> Floats:
    """Signed Grad-CAM maps (N x K x h x w) of `open_layers`' network for N images of 0..255.

    Selvaraju et al. 2017: the feature maps weighted by the mean over all places of the gradient
    of the label's logit. The weights are those of the sum over places, so that for global
    average pooling and a dense layer they are the dense layer's kernel.
    """
    with tf.GradientTape(persistent=True) as tape:
        logits, maps = opened(tf.convert_to_tensor(images, tf.float32), training=False)
        scores = tf.unstack(logits, axis=1)
    supports = []
    for score in scores:
        weights = tf.reduce_sum(tape.gradient(score, maps), axis=(1, 2))
        supports.append(tf.einsum("nhwc,nc->nhw", maps, weights))
    return np.asarray(tf.stack(supports, axis=1), np.float32)


def randomise(network: Any, *, seed: int) -> Any:
    """A copy of the network with the values inside each weight array shuffled.

    Shuffling keeps each array's distribution, so the copy computes in the same range and only
    what was learned is gone (Adebayo et al. 2018, model parameter randomisation).
    """
    copy = keras.models.clone_model(network)
    rng = np.random.default_rng(seed)
    copy.set_weights([_shuffle(np.asarray(array), rng) for array in network.get_weights()])
    return copy


def _shuffle(array: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    return rng.permutation(array.ravel()).reshape(array.shape)
