"""Batches for Keras: images decoded once, augmented anew in every epoch, weights attached."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from ml.datasets import Example
from ml.images import read_frames, to_display
from ml.preprocessing import prepare_display
from ml.task_config import TaskConfig
from ml.training.augmentation import augment_display, mix_batch

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class ImageBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """(images, one-hot labels, weights) of the examples, shuffled and augmented if asked for.

    The random changes depend on the seed, the epoch and the image alone, so a resumed run sees
    what an uninterrupted one would have seen.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: TaskConfig,
        *,
        weights: Sequence[float],
        is_augmented: bool = False,
        is_shuffled: bool = False,
        first_epoch: int = 0,
    ) -> None:
        super().__init__(workers=1, max_queue_size=8)
        self.examples = list(examples)
        self.config = config
        self.weights = np.asarray(weights, np.float32)
        self.is_augmented = is_augmented
        self.is_shuffled = is_shuffled
        self.epoch = first_epoch
        self._shown: dict[int, NDArray[np.uint8]] = {}
        self._order = self._draw_order()

    def __len__(self) -> int:
        return -(-len(self.examples) // self.config.training.batch_size)

    def __getitem__(self, index: int) -> Batch:
        size = self.config.training.batch_size
        rows = self._order[index * size : (index + 1) * size]
        labels = self.config.data.labels
        targets = np.zeros((len(rows), len(labels)), np.float32)
        for position, row in enumerate(rows):
            targets[position, labels.index(self.examples[row].label)] = 1
        images = np.stack([self._prepare(int(row)) for row in rows])
        if not self.is_shuffled:
            return images, targets, self.weights[rows]
        rng = np.random.default_rng([self.config.training.seed, self.epoch, len(self), index])
        images, targets = mix_batch(images, targets, self.config.augmentation, rng)
        if self.config.training.sampling == "balanced":
            return images, targets, np.ones(len(rows), np.float32)
        return images, targets, self.weights[rows]

    def on_epoch_end(self) -> None:
        """Draw a new order; Keras calls this after each epoch."""
        self.epoch += 1
        self._order = self._draw_order()

    def images(self) -> NDArray[np.float32]:
        """Every image in the examples' order (N x size x size x channels)."""
        return np.stack([self._prepare(row) for row in range(len(self.examples))])

    def _draw_order(self) -> NDArray[np.int64]:
        order = np.arange(len(self.examples))
        if not self.is_shuffled:
            return order
        rng = np.random.default_rng([self.config.training.seed, self.epoch])
        if self.config.training.sampling == "balanced":
            return rng.choice(order, len(order), p=self.weights / self.weights.sum())
        rng.shuffle(order)
        return order

    def _prepare(self, row: int) -> NDArray[np.float32]:
        shown = self._shown.get(row)
        if shown is None:
            shown = to_display(read_frames(self.examples[row].path)[0])
            self._shown[row] = shown
        if self.is_augmented:
            rng = np.random.default_rng([self.config.training.seed, self.epoch, row])
            shown = augment_display(shown, self.config.augmentation, rng)
        return prepare_display(shown, self.config.input)
