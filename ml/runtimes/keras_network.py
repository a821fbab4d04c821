"""A bundle's network for Keras: its description, filled with the weights of the OpenVINO file.

The weights of a network lie in a bundle once. Bundles of earlier releases hold a whole `.keras`
file beside the OpenVINO network; both kinds are opened here, and so is the file of a training run.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles import KERAS_MODEL, KERAS_NETWORK, OPENVINO_WEIGHTS
from ml.errors import RuntimeUnavailable
from ml.typed_tables import build_typed

UNREADABLE = (
    OSError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ImportError,
    RecursionError,
    BadZipFile,
)
"""What Keras raises over a file that isn't a network, or wants more than its safe mode allows."""

HALF = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the values of one variable are.

    Half floats from the byte `offset` of the OpenVINO weights on, an array of `shape` whose axes,
    put in the order of `axes`, are the variable's; or `fill`, where all values are the same.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...] = ()
    offset: int = 0
    fill: float | None = None


def load_network(path: Path) -> Any:
    """A Keras network from a bundle's folder, or from the `.keras` file of a run.

    Raises RuntimeUnavailable for what is no network, or would run code of its own.
    """
    try:
        if path.is_dir() and (path / KERAS_NETWORK).exists():
            return _fill_network(path)
        file = path / KERAS_MODEL if path.is_dir() else path
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except UNREADABLE as error:
        raise RuntimeUnavailable(runtime="tensorflow", detail=error) from error


def _fill_network(folder: Path) -> Any:
    table = json.loads((folder / KERAS_NETWORK).read_text())
    content = (folder / OPENVINO_WEIGHTS).read_bytes()
    network = keras.saving.deserialize_keras_object(table["config"], safe_mode=True)
    if not isinstance(network, keras.Model):
        raise TypeError(f"{KERAS_NETWORK} describes no network")
    places = {name: build_typed(Place, place) for name, place in table["weights"].items()}
    network.set_weights(
        [_read_values(places, weight.path, weight.shape, content) for weight in network.weights]
    )
    return network


def _read_values(
    places: Mapping[str, Place], name: str, shape: tuple[int, ...], content: bytes
) -> NDArray[np.float32]:
    place = places[name]
    if place.fill is not None:
        return np.full(shape, place.fill, np.float32)
    # Checked before anything is made of that size: the file says what it likes.
    if math.prod(place.shape) != math.prod(shape) or place.offset < 0:
        raise ValueError(f"{name} isn't where {KERAS_NETWORK} says")
    values = np.frombuffer(content, HALF, math.prod(place.shape), place.offset)
    return values.reshape(place.shape).transpose(place.axes).reshape(shape).astype(np.float32)
