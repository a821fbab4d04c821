"""How fast training images are prepared, and how long a training step waits for them.

`pytest tests/bench/bench_input_pipeline.py -m bench -s` prints a table. Images are generated at the
size of the real ones, decoded once before anything is measured. A step's waiting is what an epoch
takes longer than one whose batches lie ready.
"""

import csv
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from ml.workshop.datasets import Example, load_dataset
from ml.workshop.task_config import TaskConfig, find_task, load_task
from ml.workshop.training.batches import Batch, ImageBatches
from ml.workshop.training.network import build_network
from ml.workshop.training.stages import Stage, prepare_stage
from tests.ml.pictures import LABELS, draw_case

IMAGES = 256
SIDE = 224
ROUNDS = 3
WORKERS = (1, 2)
CHOICES: dict[str, Any] = {"model.weights": "none", "training.batch_size": 32}
EVERY_CHANGE: dict[str, Any] = {
    f"augmentation.{name}_share": 0.3
    for name in ("blur", "compress", "style", "square", "frame", "mark")
}


class ReadyBatches(keras.utils.PyDataset):
    """The same batches without any work."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def write_images(root: Path) -> Path:
    rng = np.random.default_rng(1)
    rows = []
    for number in range(IMAGES):
        label = LABELS[number % len(LABELS)]
        Image.fromarray(draw_case(label, rng, side=SIDE)).save(root / f"{number}.png")
        rows.append((f"{number}.png", label, "generated", str(number), "train"))
    with (root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source", "group", "split"), *rows])
    return root


def prepare_batches(examples: Sequence[Example], config: TaskConfig, workers: int) -> ImageBatches:
    batches = ImageBatches(
        examples,
        config,
        weights=[1.0] * len(examples),
        is_augmented=True,
        is_shuffled=True,
        workers=workers,
    )
    batches.load()
    return batches


def measure_pipeline(batches: ImageBatches, workers: int) -> float:
    """Images prepared each second, the best of a few rounds."""
    seconds = []
    for epoch in range(ROUNDS):
        batches.start_epoch(epoch)
        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(batches.__getitem__, range(len(batches))))
        seconds.append(time.perf_counter() - start)
    return len(batches.examples) / min(seconds)


def measure_epoch(network: Any, batches: keras.utils.PyDataset) -> float:
    """Seconds of an epoch, the best of a few rounds after one that compiles."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        network.fit(batches, verbose=0, shuffle=False)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_print_rate_of_the_input_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_task(find_task("chest-xray"), overrides=CHOICES)
    examples = load_dataset(write_images(tmp_path), config.data).examples
    network = build_network(config)
    prepare_stage(network, config, Stage(0, 1, is_head_only=False), steps=len(examples))
    changed = load_task(find_task("chest-xray"), overrides=CHOICES | EVERY_CHANGE)
    most = measure_pipeline(prepare_batches(examples, changed, 1), 1)
    lines = [f"{config.model.backbone} at {config.input.size} px, {IMAGES} images of {SIDE} px"]
    batches = {count: prepare_batches(examples, config, count) for count in WORKERS}
    rates = {count: measure_pipeline(batches[count], count) for count in WORKERS}
    first = batches[WORKERS[0]]
    ready = measure_epoch(network, ReadyBatches([first[index] for index in range(len(first))]))
    lines.append(f"training alone       {IMAGES / ready:7.0f} images/s")
    for count in WORKERS:
        taken = measure_epoch(network, batches[count])
        lines.append(
            f"{count} worker(s): pipeline {rates[count]:7.0f} images/s, with training "
            f"{IMAGES / taken:5.0f} images/s, waiting {max(0.0, 1 - ready / taken):4.0%} of a step"
        )
    lines.append(f"1 worker, every change of appearance: pipeline {most:7.0f} images/s")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert most > IMAGES / ready, "the network waits for its images"
