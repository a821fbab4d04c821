"""The engines that run a bundle: OpenVINO on a CPU, TensorFlow on a GPU."""

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.bundles import OPENVINO_MODEL, Bundle
from ml.errors import RuntimeUnavailable

# OpenVINO reports each import of it to an analytics server, and nothing here may call out of a
# hospital: finding that module missing, it uses its own silent stand-in.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # None: not to be found

DEVICES = ("auto", "cpu", "gpu")
DEFAULT_THREADS = 2

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RuntimeOutputs:
    """Logits (N x K), last feature maps (N x h x w x C) and their means, the embeddings (N x C)."""

    logits: Floats
    feature_maps: Floats
    embeddings: Floats


class Runtime(Protocol):
    """An opened network. Scores don't depend on the batch an image came in."""

    @property
    def name(self) -> str:
        """Name of the engine and of its device."""

    def predict(self, batch: Floats) -> RuntimeOutputs:
        """Outputs for N x H x W x C inputs of 0..255."""


def open_runtime(
    bundle: Bundle, *, device: str = "auto", threads: int = DEFAULT_THREADS
) -> Runtime:
    """Open the bundle's network on `cpu` (OpenVINO), `gpu` (TensorFlow) or whichever there is.

    The engine is imported here, so that a process that never predicts doesn't carry it. Raises
    RuntimeUnavailable.
    """
    if device not in DEVICES:
        raise RuntimeUnavailable(runtime=device, detail=f"choose one of {', '.join(DEVICES)}")
    if device == "gpu" or (device == "auto" and _has_gpu()):
        from ml.runtimes.tensorflow import open_tensorflow

        return open_tensorflow(bundle, needs_gpu=True)
    from ml.runtimes.openvino import open_openvino

    return open_openvino(bundle, threads=threads)


def open_map_runtime(bundle: Bundle, *, threads: int = DEFAULT_THREADS) -> Runtime | None:
    """The bundle's network at the size that its heat maps are made at; None for its own size.

    On the CPU always: the file for it takes any size, and only the feature maps are wanted. Raises
    RuntimeUnavailable.
    """
    spec, size = bundle.manifest.input, bundle.manifest.map_size
    if size in (0, spec.size):
        return None
    from ml.runtimes.openvino import compile_network

    path = bundle.path / OPENVINO_MODEL
    return compile_network(path, size=size, channels=spec.channels, threads=threads)


def _has_gpu() -> bool:
    """Whether TensorFlow is installed and sees a GPU, without loading it where none can be."""
    if importlib.util.find_spec("tensorflow") is None or shutil.which("nvidia-smi") is None:
        return False
    from ml.runtimes.tensorflow import count_gpus

    return count_gpus() > 0
