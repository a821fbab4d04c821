"""The input pipeline: draws depend on seed, epoch and image alone, and memory is bounded."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.errors import TaskConfigInvalid
from ml.images import read_frames, to_display
from ml.preprocessing import prepare_display, prepare_frame
from ml.workshop.datasets import Dataset, Example, load_dataset
from ml.workshop.orientations import TURNED_KINDS, turn
from ml.workshop.task_config import TaskConfig
from tests.ml.conftest import load_chest
from tests.ml.pictures import draw_case

CHOICES: dict[str, Any] = {
    "input.size": 32,
    "training.batch_size": 4,
    "training.sampling": "weighted",
    "augmentation.mix_share": 0.0,
    "augmentation.move_share": 1.0,
}


def configure(**overrides: Any) -> TaskConfig:
    return load_chest(CHOICES | overrides)


@pytest.fixture(scope="module")
def dataset(tiny_data: Path) -> Dataset:
    return load_dataset(tiny_data, configure().data)


def open_batches(dataset: Dataset, config: TaskConfig, **options: Any) -> Any:
    from ml.workshop.training.batches import ImageBatches

    examples = dataset.of_split("train")
    return ImageBatches(examples, config, weights=options.pop("weights", [1.0] * 18), **options)


def read_epoch(batches: Any, epoch: int) -> list[tuple[np.ndarray, ...]]:
    batches.start_epoch(epoch)
    return [batches[index] for index in range(len(batches))]


def assert_equal(one: list[tuple[np.ndarray, ...]], other: list[tuple[np.ndarray, ...]]) -> None:
    for first, second in zip(one, other, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)


def test_image_batches_give_an_epoch_again_whatever_came_before(dataset: Dataset) -> None:
    config = configure(**{"augmentation.mix_share": 0.5})
    options = {"is_augmented": True, "is_shuffled": True}
    first = open_batches(dataset, config, workers=1, **options)
    second = open_batches(dataset, config, workers=2, **options)
    second.load()
    before = read_epoch(first, 0)
    fifth = read_epoch(first, 5)
    assert_equal(read_epoch(second, 5)[::-1], fifth[::-1])
    assert not np.array_equal(before[0][0], fifth[0][0])


def test_image_batches_show_images_as_they_are_when_nothing_changes_them(
    dataset: Dataset,
) -> None:
    config = configure()
    batches = open_batches(dataset, config)
    images, targets, weights = (
        np.concatenate(part) for part in zip(*read_epoch(batches, 3), strict=True)
    )
    examples = dataset.of_split("train")
    expected = [prepare_frame(read_frames(row.path)[0], config.input) for row in examples]
    np.testing.assert_array_equal(images, np.stack(expected))
    labels = config.data.labels
    assert [labels[index] for index in targets.argmax(axis=1)] == [row.label for row in examples]
    np.testing.assert_array_equal(weights, np.ones(18))


def test_image_batches_change_an_image_otherwise_when_it_is_drawn_again(dataset: Dataset) -> None:
    config = configure(**{"training.sampling": "balanced"})
    # One image is drawn nearly always.
    weights = [1000.0] + [1.0] * 17
    batches = open_batches(dataset, config, weights=weights, is_augmented=True, is_shuffled=True)
    images = np.concatenate([batch[0] for batch in read_epoch(batches, 0)])
    assert len({image.tobytes() for image in images}) == len(images)
    assert {float(weight) for batch in read_epoch(batches, 0) for weight in batch[2]} == {1.0}


def test_image_batches_draw_rare_cells_as_often_when_sampling_is_balanced(
    dataset: Dataset,
) -> None:
    config = configure(**{"training.sampling": "balanced"})
    weights = [12.0 if row.label == "normal" else 1.0 for row in dataset.of_split("train")]
    batches = open_batches(dataset, config, weights=weights, is_shuffled=True)
    drawn: Counter[int] = Counter()
    for epoch in range(40):
        for _, targets, _ in read_epoch(batches, epoch):
            drawn.update(targets.argmax(axis=1).tolist())
    share = drawn[config.data.labels.index("normal")] / drawn.total()
    assert share == pytest.approx(12 / 14, abs=0.05)


def test_image_batches_mix_the_weights_as_the_labels(dataset: Dataset) -> None:
    config = configure(**{"augmentation.mix_share": 1.0})
    by_label = {"normal": 1.0, "pneumonia": 2.0, "tuberculosis": 4.0}
    weights = [by_label[row.label] for row in dataset.of_split("train")]
    batches = open_batches(dataset, config, weights=weights, is_shuffled=True)
    table = np.array([by_label[label] for label in config.data.labels])
    mixed = 0
    for _, targets, given in read_epoch(batches, 0):
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(given, targets @ table, rtol=1e-5)
        mixed += int((targets.max(axis=1) < 1).sum())
    assert mixed > 3


def test_image_batches_turn_a_share_of_the_images_and_say_how(dataset: Dataset) -> None:
    config = configure(**{"training.turned_share": 0.7})
    batches = open_batches(dataset, config, is_shuffled=True)
    shown = [to_display(read_frames(row.path)[0]) for row in dataset.of_split("train")]
    kinds = [kind for _ in shown for kind in (None, *TURNED_KINDS)]
    every = [one for image in shown for one in (image, *(turn(image, k) for k in TURNED_KINDS))]
    inputs = np.stack([prepare_display(one, config.input) for one in every])
    names = [*[None] * len(config.data.labels), *TURNED_KINDS]
    seen: Counter[str | None] = Counter()
    for epoch in range(40):
        for images, targets, _ in read_epoch(batches, epoch):
            told = [names[index] for index in targets.argmax(axis=1)]
            gaps = [np.abs(inputs - image).mean(axis=(1, 2, 3)).argmin() for image in images]
            assert told == [kinds[nearest] for nearest in gaps]
            seen.update(told)
    assert seen[None] / seen.total() == pytest.approx(0.3, abs=0.06)
    assert set(seen) == {None, *TURNED_KINDS}


def test_image_batches_turn_nothing_that_is_judged(dataset: Dataset) -> None:
    config = configure(**{"training.turned_share": 0.7})
    judged = open_batches(dataset, config, is_augmented=True)
    plain = open_batches(dataset, configure(), is_augmented=True)
    assert_equal(read_epoch(judged, 0), read_epoch(plain, 0))


def test_load_task_refuses_to_turn_what_has_no_up() -> None:
    with pytest.raises(TaskConfigInvalid, match="images with an up"):
        configure(**{"training.turned_share": 0.2, "augmentation.quarter_turns": True})


def test_image_batches_leave_out_the_rest_when_batches_are_shared(dataset: Dataset) -> None:
    whole = open_batches(dataset, configure(), is_shuffled=True, is_whole=True)
    assert [len(batch[0]) for batch in read_epoch(whole, 0)] == [4] * 4
    assert len(open_batches(dataset, configure(), is_shuffled=True)) == 5


def test_image_batches_store_a_large_image_at_twice_the_input(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(draw_case("pneumonia", np.random.default_rng(0), side=600)).save(path)
    row = Example(path, "large.png", "pneumonia", "pneumonia", "s", "g", "train", "")
    config = configure()
    names = [field.name for field in dataclasses.fields(config.augmentation)]
    still = {name: 0.0 for name in names if name.endswith("_share")}
    quiet = dataclasses.replace(config.augmentation, quarter_turns=False, **still)
    config = dataclasses.replace(config, augmentation=quiet)
    one = Dataset(examples=(row,), digest="")
    batches = open_batches(one, config, weights=[1.0], is_shuffled=True, is_augmented=True)
    ((images, _, _),) = read_epoch(batches, 0)
    expected = prepare_frame(read_frames(path)[0], config.input)
    # A second reduction of the same filter moves few levels.
    assert np.abs(images[0] - expected).mean() < 3
    assert batches.cache.used == 64 * 64


def test_array_cache_makes_again_what_did_not_fit() -> None:
    from ml.workshop.training.cache import ArrayCache

    cache: ArrayCache[Any] = ArrayCache(limit=25)
    made: list[int] = []

    def read(row: int) -> np.ndarray:
        def make() -> np.ndarray:
            made.append(row)
            return np.full(10, row, np.uint8)

        return cache.get(row, make)

    for row in (0, 1, 2, 0, 1, 2):
        np.testing.assert_array_equal(read(row), np.full(10, row))
    assert made == [0, 1, 2, 2]
    assert cache.used == 20
    assert cache.is_full
