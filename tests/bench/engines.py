"""Workers of the inference bench: each runs in a process of its own and prints one line of JSON.

`python -m tests.bench.engines NAME BUNDLE_OR_FILE ...` is how bench_inference.py starts them.
"""

import dataclasses
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

if TYPE_CHECKING:
    from ml.runtimes import Floats, Runtime, RuntimeOutputs

THREADS = 2
BATCHES = (1, 16)
PREDICTIONS = 200
WARM_UPS = 3
# Frames between two looks at the memory of a long run.
STEP = 500
MEGABYTE = 1024 * 1024


def main(arguments: list[str]) -> None:
    """Run the named worker and print what it found."""
    name, *rest = arguments
    for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, str(THREADS))
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = WORKERS[name](*rest)
    sys.stdout.write(json.dumps(found) + "\n")


def resident_mb() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / MEGABYTE


def rate(run: Callable[[], Any], images: int, *, seconds: float) -> float:
    """Images a second: the median of rounds that together last about `seconds`."""
    for _ in range(WARM_UPS):
        run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return images / float(np.median(times))


def measure(
    open_engine: Callable[[], Callable[[Any], Any]], size: int, channels: int, seconds: str
) -> dict[str, Any]:
    """Seconds to open, memory when open and after 200 predictions, and images/s by batch."""
    started = time.perf_counter()
    run = open_engine()
    rng = np.random.default_rng(0)
    inputs = {
        batch: rng.uniform(0, 255, (batch, size, size, channels)).astype(np.float32)
        for batch in BATCHES
    }
    run(inputs[1])
    opened, loaded = time.perf_counter() - started, resident_mb()
    for _ in range(PREDICTIONS):
        run(inputs[1])
    after = resident_mb()
    rates = {
        str(batch): rate(lambda images=images: run(images), batch, seconds=float(seconds))
        for batch, images in inputs.items()
    }
    return {"open_s": opened, "loaded_mb": loaded, "after_mb": after, "rates": rates}


def read_spec(bundle: str) -> tuple[int, int]:
    """Side and channels of the bundle's input."""
    from ml.manifest import read_manifest

    spec = read_manifest(Path(bundle))[0].input
    return spec.size, spec.channels


def keras_predict(bundle: str, seconds: str) -> dict[str, Any]:
    """`model.predict`, as every tutorial does it."""

    def open_engine() -> Callable[[Any], Any]:
        from ml.runtimes.keras_network import load_network

        network = load_network(Path(bundle))
        return lambda images: network.predict(images, verbose=0)

    return measure(open_engine, *read_spec(bundle), seconds)


def tensorflow_function(bundle: str, seconds: str) -> dict[str, Any]:
    """`tf.function`, traced for each batch size; the runtime for a GPU pads to batches of 16."""

    def open_engine() -> Callable[[Any], Any]:
        import tensorflow as tf

        from ml.runtimes.keras_network import load_network

        network = load_network(Path(bundle))
        traced = tf.function(lambda images: network(images, training=False))
        return lambda images: [output.numpy() for output in tf.nest.flatten(traced(images))]

    return measure(open_engine, *read_spec(bundle), seconds)


def openvino_shipped(bundle: str, seconds: str) -> dict[str, Any]:
    """The runtime that a CPU gets."""

    def open_engine() -> Callable[[Any], Any]:
        from ml.bundles import load_bundle
        from ml.runtimes import open_runtime

        return open_runtime(load_bundle(bundle), device="cpu", threads=THREADS).predict

    return measure(open_engine, *read_spec(bundle), seconds)


def onnx_runtime(path: str, size: str, channels: str, seconds: str) -> dict[str, Any]:
    """ONNX Runtime on the exported network."""

    def open_engine() -> Callable[[Any], Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda images: session.run(None, {name: images})

    return measure(open_engine, int(size), int(channels), seconds)


def export_onnx(bundle: str, path: str) -> dict[str, Any]:
    """Write the bundle's Keras model as ONNX."""
    from ml.runtimes.keras_network import load_network

    network = load_network(Path(bundle))
    network(np.zeros((1, *network.inputs[0].shape[1:]), np.float32))
    network.export(path, format="onnx", verbose=False)
    return {"megabytes": Path(path).stat().st_size / MEGABYTE}


class TimedRuntime:
    """A runtime that notes how many seconds each of its predictions took."""

    def __init__(self, runtime: "Runtime") -> None:
        self.runtime, self.name = runtime, runtime.name
        self.times: list[float] = []

    def predict(self, batch: "Floats") -> "RuntimeOutputs":
        """What the runtime answers."""
        started = time.perf_counter()
        outputs = self.runtime.predict(batch)
        self.times.append(time.perf_counter() - started)
        return outputs


def split_time(bundle: str, file: str, seconds: str, shrink: str) -> dict[str, Any]:
    """Milliseconds of a prediction from a file's bytes: decoding, preparing, network, and the rest.

    The network's are those within whole predictions, where it finds other caches than in a loop of
    its own. The rest is what `Predictor.predict` and `conclude` take beyond preparing and the
    network: probabilities, activation maps, distance, and the checks of scope. `shrink` stands in
    place of the manifest's.
    """
    from ml.images import read_frames
    from ml.predictor import open_predictor
    from ml.preprocessing import prepare_frame

    predictor = open_predictor(bundle, device="cpu", threads=THREADS)
    manifest = predictor.bundle.manifest
    spec = dataclasses.replace(manifest.input, shrink=shrink)
    chosen = dataclasses.replace(manifest, input=spec)
    predictor.bundle = dataclasses.replace(predictor.bundle, manifest=chosen)
    content = Path(file).read_bytes()
    (frame,) = read_frames(content)
    runtime = predictor.runtime = TimedRuntime(predictor.runtime)

    def cost(run: Callable[[], Any]) -> float:
        return 1000 / rate(run, 1, seconds=float(seconds))

    decode = cost(lambda: read_frames(content))
    prepare = cost(lambda: prepare_frame(frame, spec))
    answer = cost(lambda: predictor.conclude(predictor.predict([frame])))
    network = 1000 * float(np.median(runtime.times))
    rest = max(answer - prepare - network, 0.0)
    return {"decode": decode, "prepare": prepare, "network": network, "rest": rest}


def memory_growth(file: str, predictions: str, *bundles: str) -> dict[str, Any]:
    """Growth of resident memory over many predictions of one file, after a warm-up of 500.

    With several bundles all stay open in this process, as in a worker, and take turns.
    """
    from ml.images import read_frames
    from ml.predictor import open_predictor

    opened = [open_predictor(bundle, device="cpu", threads=THREADS) for bundle in bundles]
    (frame,) = read_frames(Path(file).read_bytes())

    def predict(count: int) -> None:
        for number in range(count):
            predictor = opened[number % len(opened)]
            predictor.conclude(predictor.predict([frame]))

    predict(STEP)
    gc.collect()
    start = highest = resident_mb()
    started = time.perf_counter()
    for _ in range(int(predictions) // STEP):
        predict(STEP)
        highest = max(highest, resident_mb())
    gc.collect()
    elapsed = time.perf_counter() - started
    return {
        "start_mb": start,
        "growth_mb": resident_mb() - start,
        "highest_mb": highest - start,
        "rate": int(predictions) / elapsed,
    }


def random_backbone(backbone: str, size: str, width: str, seconds: str) -> dict[str, Any]:
    """Speed of a registered backbone with random weights in OpenVINO: weights don't change it."""
    from ml.runtimes.openvino import compile_network, convert_network
    from ml.workshop.exporting.artefacts import open_outputs
    from ml.workshop.task_config import find_task, load_task
    from ml.workshop.training.backbones import BACKBONES
    from ml.workshop.training.network import build_network

    limits = BACKBONES[backbone].limits
    # The nearest that it takes.
    side = max(limits.minimum, round(int(size) / limits.step) * limits.step)
    overrides = {
        "model.backbone": backbone,
        "model.weights": "none",
        "model.width": float(width),
        "input.size": side,
    }
    config = load_task(find_task("chest-xray"), overrides=overrides)
    network = open_outputs(build_network(config))
    with tempfile.TemporaryDirectory() as scratch:
        network.export(f"{scratch}/saved", format="tf_saved_model", verbose=False)
        convert_network(f"{scratch}/saved", Path(scratch) / "network.xml")
        channels = config.input.channels
        engine = compile_network(
            Path(scratch) / "network.xml", size=side, channels=channels, threads=THREADS
        )
        images = np.zeros((1, side, side, channels), np.float32)
        found = rate(lambda: engine.predict(images), 1, seconds=float(seconds))
    return {"rate": found, "size": side, "parameters": int(network.count_params())}


def list_backbones() -> dict[str, Any]:
    """Names of the registered backbones."""
    from ml.workshop.training.backbones import BACKBONES

    return {"names": list(BACKBONES)}


WORKERS: dict[str, Callable[..., dict[str, Any]]] = {
    "model.predict": keras_predict,
    "tf.function": tensorflow_function,
    "openvino": openvino_shipped,
    "onnxruntime": onnx_runtime,
    "export-onnx": export_onnx,
    "split": split_time,
    "memory": memory_growth,
    "backbone": random_backbone,
    "backbones": list_backbones,
}

if __name__ == "__main__":
    main(sys.argv[1:])
