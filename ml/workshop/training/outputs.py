"""Runs a trained network over examples as they are, without the engines that ship."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.preprocessing import CHUNK, prepare_files
from ml.workshop.datasets import Example, index_labels
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.network import EMBEDDING, LOGITS


@dataclass(frozen=True, slots=True)
class Outputs:
    """One row for each example, in their order: logits N x K, embeddings N x C, label indices N."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    targets: NDArray[np.int64]


def run_network(network: Any, examples: Sequence[Example], config: TaskConfig) -> Outputs:
    """Logits, embeddings and label indices of the examples' first frames, not augmented.

    `network` is what `build_network` made or `best.keras` holds. Raises the errors of
    `ml.images.read_frames` for an image that can't be decoded.
    """
    layers = [network.get_layer(name).output for name in (LOGITS, EMBEDDING)]
    both = keras.Model(network.inputs[0], layers)
    inputs = prepare_files((example.path for example in examples), config.input)
    parts = [both.predict(images, batch_size=CHUNK, verbose=0) for images in inputs]
    empty = [np.zeros((0, layer.shape[-1]), np.float32) for layer in layers]
    logits, embeddings = (np.concatenate(column) for column in zip(empty, *parts, strict=True))
    targets = index_labels(examples, config.data.labels)
    return Outputs(logits=logits, embeddings=embeddings, targets=targets)
