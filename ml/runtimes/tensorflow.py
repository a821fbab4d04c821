"""Runs a bundle's network in TensorFlow, in batches of one fixed size."""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from ml.bundles import Bundle
from ml.errors import RuntimeUnavailable
from ml.runtimes import Floats, RuntimeOutputs
from ml.runtimes.keras_network import load_network

BATCH = 16


def count_gpus() -> int:
    """GPUs that TensorFlow sees; their memory is claimed as needed, not at once."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(device=gpu, enable=True)
    return len(gpus)


class TensorFlowRuntime:
    """A traced network; the last batch is padded, so that one trace serves all sizes."""

    def __init__(self, run: Callable[[Any], Any], *, name: str) -> None:
        self._run = run
        self.name = name

    def predict(self, batch: Floats) -> RuntimeOutputs:
        """Outputs for N x H x W x C inputs of 0..255."""
        parts = []
        for start in range(0, len(batch), BATCH):
            images = batch[start : start + BATCH]
            padded = np.zeros((BATCH, *batch.shape[1:]), np.float32)
            padded[: len(images)] = images
            parts.append([output.numpy()[: len(images)] for output in self._run(padded)])
        logits, maps, embeddings = (np.concatenate(column) for column in zip(*parts, strict=True))
        return RuntimeOutputs(logits=logits, feature_maps=maps, embeddings=embeddings)


def open_tensorflow(bundle: Bundle, *, needs_gpu: bool) -> TensorFlowRuntime:
    """Load the bundle's Keras model and trace it once for the fixed batch."""
    gpus = count_gpus()
    if needs_gpu and not gpus:
        raise RuntimeUnavailable(runtime="tensorflow", detail="it sees no GPU")
    network = load_network(bundle.path)
    return trace_network(network, name="tensorflow-gpu" if gpus else "tensorflow-cpu")


def trace_network(network: Any, *, name: str = "tensorflow-cpu") -> TensorFlowRuntime:
    """Trace a three-output Keras model once, for the fixed batch."""
    signature = [tf.TensorSpec((BATCH, *network.inputs[0].shape[1:]), tf.float32)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]  # TensorFlow's
    def run(images: Any) -> Any:
        return network(images, training=False)

    return TensorFlowRuntime(run, name=name)
