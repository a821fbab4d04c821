"""Batches for Keras: images decoded once, augmented anew in every epoch, weights attached."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import DataInvalid, MLError
from ml.images import read_frames
from ml.preprocessing import prepare_display, show_frame
from ml.workshop.datasets import Example
from ml.workshop.orientations import TURNED_KINDS, turn
from ml.workshop.progress import track
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.augmentation import augment_display, mix_batch
from ml.workshop.training.cache import ArrayCache

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

# Bytes that the decoded images of one split may take; what doesn't fit is decoded every time.
CACHE_BYTES = 1024**3
# Stored at most this many times as wide as the input: enough to enlarge a part of it.
STORED_SCALE = 2
MAX_WORKERS = 8
# Tells the draws that mix a batch, and those of what is turned, from those that change an image.
MIXING = 1
TURNING = 2
UPRIGHT = -1


def count_workers() -> int:
    """Threads that prepare batches: Pillow and numpy let them run beside one another."""
    return min(MAX_WORKERS, len(os.sched_getaffinity(0)))


class ImageBatches(keras.utils.PyDataset):
    """(images, one-hot labels, weights) of the examples, shuffled and augmented if asked for.

    The random changes depend on the seed, the epoch and the image alone, not on the threads, so a
    resumed run sees what an uninterrupted one would have seen. Of shuffled ones some are turned, if
    the task asks for it: they carry one of `turns` labels that follow the task's. `is_whole` leaves
    out the images that fill no batch, for devices that share each batch evenly.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: TaskConfig,
        *,
        weights: Sequence[float],
        is_augmented: bool = False,
        is_shuffled: bool = False,
        is_whole: bool = False,
        workers: int | None = None,
    ) -> None:
        super().__init__(workers=workers or count_workers(), max_queue_size=8)
        self.examples = list(examples)
        self.config = config
        self.weights = np.asarray(weights, np.float32)
        self.is_augmented = is_augmented
        self.is_shuffled = is_shuffled
        self.is_whole = is_whole
        labels = {label: index for index, label in enumerate(config.data.labels)}
        self.targets = np.array([labels[example.label] for example in self.examples], np.int64)
        self._foreign = find_foreign([example.source for example in self.examples])
        self.cache: ArrayCache[Any] = ArrayCache(CACHE_BYTES)
        self.start_epoch(0)

    def __len__(self) -> int:
        size = self.config.training.batch_size
        full = len(self.examples) // size
        return full if self.is_whole else -(-len(self.examples) // size)

    def __getitem__(self, index: int) -> Batch:
        size = self.config.training.batch_size
        rows = self._order[index * size : (index + 1) * size]
        repeats = self._repeats[index * size : (index + 1) * size]
        kinds = self._kinds[index * size : (index + 1) * size]
        drawn = zip(rows, repeats, kinds, strict=True)
        images = np.stack([self._prepare(*one) for one in drawn])
        labels = len(self.config.data.labels)
        named = np.where(kinds == UPRIGHT, self.targets[rows], labels + kinds)
        targets = np.eye(labels + self.turns, dtype=np.float32)[named]
        weights = self.weights[rows]
        if not self.is_shuffled:
            return images, targets, weights
        if self.config.training.sampling == "balanced":
            weights = np.ones(len(rows), np.float32)
        rng = np.random.default_rng([self.config.training.seed, self.epoch, index, 0, MIXING])
        # The weight is mixed as the labels are: it rides along as one more column.
        labelled = np.column_stack([targets, weights])
        images, labelled = mix_batch(images, labelled, self.config.augmentation, rng)
        return images, labelled[:, :-1], labelled[:, -1]

    def load(self) -> None:
        """Decode what can be kept, before the first epoch; raises DataInvalid for a broken image.

        Later the engine would turn that error into one of its own.
        """
        with ThreadPoolExecutor(self.workers) as pool:
            rows = range(len(self.examples))
            found = pool.map(self._try_row, rows)
            for _ in track(found, len(rows), "reading", unit="image"):
                pass

    def _try_row(self, row: int) -> None:
        if self.cache.is_full:
            return
        try:
            self._prepare_stored(row)
        except MLError as error:
            raise DataInvalid(path=self.examples[row].path, detail=error.message) from error

    def start_epoch(self, epoch: int) -> None:
        """Draw that epoch's order and changes; between epochs only, as threads read them."""
        self.epoch = epoch
        self._order = self._draw_order()
        self._repeats = np.zeros(len(self._order), np.int64)
        seen: Counter[int] = Counter()
        for position, row in enumerate(self._order.tolist()):
            self._repeats[position] = seen[row]
            seen[row] += 1
        self._kinds = self._draw_kinds()

    @property
    def turns(self) -> int:
        """Labels beyond the task's: how a training image was turned, where any is."""
        is_any = self.is_shuffled and self.config.training.turned_share > 0
        return len(TURNED_KINDS) if is_any else 0

    def _draw_kinds(self) -> NDArray[np.int64]:
        """How each image of the epoch is turned, as an index of TURNED_KINDS, or UPRIGHT."""
        upright = np.full(len(self._order), UPRIGHT, np.int64)
        if not self.turns:
            return upright
        rng = np.random.default_rng([self.config.training.seed, self.epoch, TURNING])
        is_turned = rng.random(len(upright)) < self.config.training.turned_share
        return np.where(is_turned, rng.integers(self.turns, size=len(upright)), upright)

    def _draw_order(self) -> NDArray[np.int64]:
        order = np.arange(len(self.examples))
        if not self.is_shuffled:
            return order
        rng = np.random.default_rng([self.config.training.seed, self.epoch])
        if self.config.training.sampling == "balanced":
            return rng.choice(order, len(order), p=self.weights / self.weights.sum())
        rng.shuffle(order)
        return order

    def _prepare(self, row: int, repeat: int, kind: int) -> NDArray[np.float32]:
        """The input made of a row; one that is drawn again in an epoch is changed otherwise."""
        stored = self._prepare_stored(row)
        if not self.is_shuffled:
            return stored
        shown = stored if kind == UPRIGHT else turn(stored, TURNED_KINDS[kind])
        return self._make(shown, row, repeat)

    def _prepare_stored(self, row: int) -> NDArray[Any]:
        """What is kept of a row: the image, or the input itself where no epoch changes it."""
        if self.is_shuffled:
            return self.cache.get(row, lambda: _reduce(self._decode(row), self.config.input.size))
        return self.cache.get(row, lambda: self._make(self._decode(row), row, 0))

    def _make(self, shown: NDArray[np.uint8], row: int, repeat: int) -> NDArray[np.float32]:
        if self.is_augmented:
            rng = np.random.default_rng([self.config.training.seed, self.epoch, row, repeat])
            draw_other = partial(self._draw_other, row)
            shown = augment_display(shown, self.config.augmentation, rng, draw_other=draw_other)
        return prepare_display(shown, self.config.input)

    def _draw_other(self, row: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Another image as it is shown, of another source where there is one."""
        others = self._foreign[self.examples[row].source]
        other = int(others[int(rng.integers(len(others)))])
        return self._prepare_stored(other) if self.is_shuffled else self._decode(other)

    def _decode(self, row: int) -> NDArray[np.uint8]:
        return show_frame(read_frames(self.examples[row].path, frames=[0])[0], self.config.input)


def find_foreign(sources: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """For each source the rows of the others, or all rows where there is but one."""
    named = np.array(sources)
    rows = np.arange(len(named))
    several = len(set(sources)) > 1
    return {name: rows[named != name] if several else rows for name in set(sources)}


def _reduce(shown: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The image with no side longer than what is worth storing, by the filter of the input."""
    height, width = (min(side, STORED_SCALE * size) for side in shown.shape[:2])
    if (height, width) == shown.shape[:2]:
        return shown
    image = Image.fromarray(shown).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)
