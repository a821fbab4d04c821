"""What fewer bits would cost and gain: `make bench-precision`.

Runs every bundle's network in float32 (what ships) and in bfloat16, and in int8 where a file of it
is given (`--int8 TASK=FILE.xml`), on test images and on images of other places, in turn. Prints the
largest change of a probability, how many images get another likeliest label or pass another
threshold, and the time beside float32's. Judges nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from ml.bundles import OPENVINO_MODEL, find_bundles
from ml.calibration import softmax
from ml.images import read_frames
from ml.manifest import Manifest, read_manifest
from ml.preprocessing import prepare_frame
from ml.runtimes.openvino import compile_network
from ml.workshop.commands.options import BUNDLES_DIR
from tests.bench.engines import THREADS

Floats = NDArray[np.float32]
ROUNDS = 5
COLUMNS = (
    "bundle",
    "precision",
    "source",
    "images",
    "largest change",
    "other label",
    "other passes",
    "time",
)


@dataclass(frozen=True)
class Changes:
    """What another precision does to the images of a source."""

    source: str
    images: int
    largest: float
    labels: int
    passes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every bundle and print a table."""
    options = read_options(arguments)
    quantised = dict(pair.split("=", 1) for pair in options.int8)
    write(f"| {' | '.join(COLUMNS)} |")
    write("| --- " * len(COLUMNS) + "|")
    for bundle in find_bundles(options.bundles):
        manifest, _ = read_manifest(bundle)
        if options.tasks and manifest.task not in options.tasks:
            continue
        own = bundle / OPENVINO_MODEL
        plain = compile_for(own, manifest, openvino.Type.f32)
        others = {"bfloat16": compile_for(own, manifest, openvino.Type.bf16)}
        if manifest.task in quantised:
            file = Path(quantised[manifest.task])
            others["int8"] = compile_for(file, manifest, openvino.Type.f32)
        sources = find_images(options.data, manifest, options.limit)
        for name, run in others.items():
            for source, inputs in sources.items():
                found = compare(plain, run, inputs, manifest, source)
                ratio = time_beside(plain, run, inputs[:64])
                cells = (
                    f"{manifest.task} {manifest.version}",
                    name,
                    found.source,
                    f"{found.images}",
                    f"{found.largest:.3f}",
                    f"{found.labels}",
                    f"{found.passes}",
                    f"{ratio:.2f}",
                )
                write(f"| {' | '.join(cells)} |")
    return 0


def write(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundles", type=Path, default=BUNDLES_DIR)
    parser.add_argument("--limit", type=int, default=200, help="images of a source")
    parser.add_argument("--int8", action="append", default=[], metavar="TASK=FILE.xml")
    parser.add_argument("tasks", nargs="*")
    return parser.parse_args(arguments)


def compile_for(
    path: Path, manifest: Manifest, precision: openvino.Type
) -> Callable[[Floats], Floats]:
    """The logits of one image at a time, computed in a precision."""
    spec = manifest.input
    runtime = compile_network(
        path, size=spec.size, channels=spec.channels, threads=THREADS, precision=precision
    )
    return lambda inputs: runtime.predict(inputs).logits


def find_images(data: Path, manifest: Manifest, limit: int) -> dict[str, Floats]:
    """Network inputs by source: of the test split, and of other places as the task names them."""
    from ml.workshop.datasets import load_dataset
    from ml.workshop.datasets.external import load_external
    from ml.workshop.task_config import find_task, load_task

    config = load_task(find_task(manifest.task))
    rows = {"test": load_dataset(data, config.data).of_split("test")}
    for place in load_external(data, config.data):
        rows[place.name] = place.examples
    rng = np.random.default_rng(0)
    found = {}
    for source, examples in rows.items():
        chosen = sorted(rng.permutation(len(examples))[:limit])
        frames = [read_frames(examples[index].path)[0] for index in chosen]
        found[source] = np.stack([prepare_frame(frame, manifest.input) for frame in frames])
    return found


def compare(
    plain: Callable[[Floats], Floats],
    run: Callable[[Floats], Floats],
    inputs: Floats,
    manifest: Manifest,
    source: str,
) -> Changes:
    """How answers differ between two precisions of one network."""
    first, second = (
        softmax(engine(inputs), temperature=manifest.temperature) for engine in (plain, run)
    )
    thresholds = manifest.operating.thresholds
    columns = [manifest.labels.index(label) for label in thresholds]
    limits = np.array([thresholds[label] for label in thresholds])
    passes = (first[:, columns] >= limits) != (second[:, columns] >= limits)
    return Changes(
        source=source,
        images=len(inputs),
        largest=float(np.abs(first - second).max()),
        labels=int((first.argmax(axis=1) != second.argmax(axis=1)).sum()),
        passes=int(passes.any(axis=1).sum()),
    )


def time_beside(
    plain: Callable[[Floats], Floats], run: Callable[[Floats], Floats], inputs: Floats
) -> float:
    """Time of the second engine as a part of the first's, in turn; the least of several rounds."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for index, engine in enumerate((plain, run)):
            started = time.perf_counter()
            engine(inputs)
            best[index] = min(best[index], time.perf_counter() - started)
    return best[1] / best[0]


if __name__ == "__main__":
    raise SystemExit(main())
