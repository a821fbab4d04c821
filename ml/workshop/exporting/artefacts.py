"""The network's files: Keras model, OpenVINO IR, head, canary, and the embedding space."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles import CANARY, HEAD, KERAS_MODEL, OPENVINO_MODEL
from ml.calibration import softmax
from ml.errors import ParityFailed
from ml.manifest import Parity
from ml.runtimes import Floats
from ml.runtimes.openvino import compile_network, convert_network
from ml.runtimes.tensorflow import trace_network
from ml.workshop.exporting.weight_places import write_keras_network
from ml.workshop.training.network import EMBEDDING, FEATURES, LOGITS

# Largest accepted difference in probability between the engines.
PARITY_TOLERANCE = 1e-3
CANARY_INPUTS = 4
CANARY_SEED = 20


def open_outputs(network: Any) -> Any:
    """The trained network with all three outputs: logits, last feature maps, embedding."""
    outputs = [network.get_layer(name).output for name in (LOGITS, FEATURES, EMBEDDING)]
    return keras.Model(network.inputs[0], outputs, name=network.name)


def round_weights(network: Any) -> None:
    """Round every weight to half precision in place, batch norms folded into their convolutions.

    The IR stores its weights so. With the same rounded weights in the Keras model both engines
    compute the same function, and what calibration and evaluation see is what ships.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            _fold_normalization(layer)
        elif isinstance(layer, keras.layers.Rescaling):
            layer.scale = float(np.float16(layer.scale))
    for layer in network.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([_round_half(weight) for weight in layer.get_weights()])


def _fold_normalization(norm: Any) -> None:
    """Move a batch norm's scale into the convolution before it, leaving an offset alone."""
    before = norm.input._keras_history.operation
    if not isinstance(before, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        return
    gamma, beta, mean, variance = (np.asarray(value) for value in norm.get_weights())
    factor = gamma / np.sqrt(variance + norm.epsilon)
    kernel, *bias = before.get_weights()
    is_depthwise = isinstance(before, keras.layers.DepthwiseConv2D)
    shaped = factor[:, np.newaxis] if is_depthwise else factor
    before.set_weights([kernel * shaped, *(value * factor for value in bias)])
    ones = np.ones_like(gamma)
    # The variance is such that, with the layer's epsilon, it divides by exactly one.
    norm.set_weights([ones, _round_half(beta - mean * factor), 0 * ones, ones - norm.epsilon])


def _round_half(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    limit = float(np.finfo(np.float16).max)
    return np.clip(weight, -limit, limit).astype(np.float16).astype(np.float32)


def write_network(network: Any, folder: Path) -> None:
    """Write the IR with half-precision weights, what Keras needs beside it, and the head.

    `network.json` says how Keras has the same weights; where it can't, `model.keras` holds them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        network.export(scratch, format="tf_saved_model", verbose=False)
        convert_network(scratch, folder / OPENVINO_MODEL)
    if not write_keras_network(network, folder):
        network.save(folder / KERAS_MODEL)
        compress_model(folder / KERAS_MODEL)
    kernel, bias = network.get_layer(LOGITS).get_weights()
    np.savez(folder / HEAD, kernel=kernel, bias=bias)


def compress_model(path: Path) -> None:
    """Compress a `.keras` file, which Keras only stores: rounded weights are half zeros.

    bzip2 leaves 6.2 MB of an EfficientNet-Lite0's 14.1, deflate 7.9.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            # One date for all, so that the same network gives the same file.
            archive.writestr(
                zipfile.ZipInfo(name), content, compress_type=zipfile.ZIP_BZIP2, compresslevel=9
            )


def write_canary(network: Any, folder: Path) -> None:
    """Write generated inputs with the logits the Keras model gives: no patient is in them."""
    size, channels = network.inputs[0].shape[1], network.inputs[0].shape[-1]
    rng = np.random.default_rng(CANARY_SEED)
    coarse = rng.uniform(0, 255, (CANARY_INPUTS, size // 32, size // 32, channels))
    inputs = np.rint(np.kron(coarse, np.ones((1, 32, 32, 1)))).astype(np.uint8)
    outputs = trace_network(network).predict(inputs.astype(np.float32))
    np.savez_compressed(folder / CANARY, inputs=inputs, logits=outputs.logits)


def check_parity(network: Any, folder: Path, images: Floats, *, temperature: float) -> Parity:
    """Compare both engines on the images; raises ParityFailed beyond the tolerance."""
    expected = trace_network(network).predict(images).logits
    size, channels = images.shape[1], images.shape[-1]
    engine = compile_network(folder / OPENVINO_MODEL, size=size, channels=channels)
    found = engine.predict(images).logits
    scores = [softmax(logits, temperature=temperature) for logits in (expected, found)]
    difference = float(np.abs(scores[0] - scores[1]).max())
    changed = int((scores[0].argmax(axis=1) != scores[1].argmax(axis=1)).sum())
    if changed or difference > PARITY_TOLERANCE:
        raise ParityFailed(difference=f"{difference:.2g}", changed=changed)
    return Parity(
        images=len(images),
        max_difference=difference,
        labels_changed=changed,
        tolerance=PARITY_TOLERANCE,
    )
