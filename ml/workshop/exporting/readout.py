"""What an exported network says about files, run through the engine that ships."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ml.gate import join_features
from ml.runtimes import Floats, Runtime


@dataclass(frozen=True, slots=True)
class Readout:
    """One row for each image: logits (N x K), embeddings (N x C), the gate's features (N x F)."""

    logits: Floats
    embeddings: Floats
    features: Floats


def read_out(engine: Runtime, batches: Iterable[Floats]) -> Readout:
    """Run prepared inputs (N x size x size x channels each) through the engine, in order.

    Raises ValueError without any input.
    """
    logits, embeddings, features = [], [], []
    for inputs in batches:
        outputs = engine.predict(inputs)
        logits.append(outputs.logits)
        embeddings.append(outputs.embeddings)
        features.append(join_features(inputs, outputs))
    return Readout(np.concatenate(logits), np.concatenate(embeddings), np.concatenate(features))
