"""Runs a bundle's network in OpenVINO, one image at a time, in float32."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import properties
from openvino.properties import hint

from ml.bundles import OPENVINO_MODEL, Bundle
from ml.errors import RuntimeUnavailable
from ml.runtimes import DEFAULT_THREADS, Floats, RuntimeOutputs


class OpenVinoRuntime:
    """A compiled network whose batch is always one, so a score can't depend on the batch size.

    Its input and outputs are bound once: handing them over anew costs a small network's twentieth.
    """

    name = "openvino-cpu"

    def __init__(self, compiled: Any) -> None:
        request = compiled.create_infer_request()
        self._request = request
        self._input = request.get_input_tensor().data
        self._outputs = [request.get_output_tensor(index).data for index in range(3)]

    def predict(self, batch: Floats) -> RuntimeOutputs:
        """Outputs for N x H x W x C inputs of 0..255."""
        columns = [np.empty((len(batch), *data.shape[1:]), np.float32) for data in self._outputs]
        for row, image in enumerate(batch):
            self._input[0] = image
            self._request.infer(share_outputs=True)
            for column, data in zip(columns, self._outputs, strict=True):
                column[row] = data[0]
        logits, maps, embeddings = columns
        return RuntimeOutputs(logits=logits, feature_maps=maps, embeddings=embeddings)


def open_openvino(bundle: Bundle, *, threads: int) -> OpenVinoRuntime:
    """Open the bundle's IR on the CPU; raises RuntimeUnavailable."""
    spec = bundle.manifest.input
    return compile_network(
        bundle.path / OPENVINO_MODEL, size=spec.size, channels=spec.channels, threads=threads
    )


def convert_network(saved_model: Path | str, target: Path) -> None:
    """Write a TensorFlow SavedModel as an IR with half-precision weights."""
    converted = openvino.convert_model(saved_model)
    openvino.save_model(converted, target, compress_to_fp16=True)


def compile_network(
    path: Path,
    *,
    size: int,
    channels: int,
    threads: int = DEFAULT_THREADS,
    precision: openvino.Type = openvino.Type.f32,
) -> OpenVinoRuntime:
    """Compile an IR for one image at a time.

    Left alone OpenVINO picks bfloat16 where the processor has it, and a score would depend on
    the machine: float32 is asked for.
    """
    options = {
        hint.inference_precision(): precision,
        hint.performance_mode(): hint.PerformanceMode.LATENCY,
        properties.inference_num_threads(): threads,
    }
    try:
        core = openvino.Core()
        model = core.read_model(path)
        model.reshape([1, size, size, channels])
        compiled = core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise RuntimeUnavailable(runtime="openvino", detail=error) from error
    return OpenVinoRuntime(compiled)
