"""Finds a Keras network's weights in the OpenVINO file, so that a bundle holds them once."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles import KERAS_NETWORK, OPENVINO_WEIGHTS
from ml.runtimes.keras_network import HALF, Place, load_network

# Where OpenVINO puts the axes of a kernel: of a convolution, a depthwise one, a dense layer.
USUAL_AXES = ((3, 2, 0, 1), (2, 3, 0, 1), (1, 0))


def write_keras_network(network: Any, folder: Path) -> bool:
    """Write `network.json`: the network's description, and where in `network.bin` its weights lie.

    Tells whether that gives the same network to the bit. Where OpenVINO has put weights together,
    or one is no half float (`round_weights` leaves no other), it can't, and nothing is left.
    """
    content = (folder / OPENVINO_WEIGHTS).read_bytes()
    places = {weight.path: _find(np.asarray(weight), content) for weight in network.weights}
    found = {name: dataclasses.asdict(place) for name, place in places.items() if place}
    if len(found) < len(network.weights):
        return False
    table = {"config": keras.saving.serialize_keras_object(network), "weights": found}
    (folder / KERAS_NETWORK).write_text(json.dumps(table) + "\n")
    pairs = zip(network.get_weights(), load_network(folder).get_weights(), strict=True)
    if not all(np.array_equal(before, after) for before, after in pairs):
        (folder / KERAS_NETWORK).unlink()
        return False
    return True


def _find(values: NDArray[np.float32], content: bytes) -> Place | None:
    first = values.flat[0]
    if (values == first).all():
        return Place(shape=values.shape, fill=float(first))
    for axes in _orders(values.ndim):
        turned = values.transpose(axes)
        offset = content.find(turned.astype(HALF).tobytes())
        if offset >= 0:
            back = tuple(int(axis) for axis in np.argsort(axes))
            return Place(shape=turned.shape, axes=back, offset=offset)
    return None


def _orders(count: int) -> Iterator[tuple[int, ...]]:
    usual = [axes for axes in USUAL_AXES if len(axes) == count]
    others = [axes for axes in itertools.permutations(range(count)) if axes not in usual]
    yield from (*usual, *others)
