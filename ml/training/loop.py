"""The training loop: schedule, checkpoints that resume, curves, early stop on validation."""

import csv
import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.calibration import softmax
from ml.datasets import Dataset, balance_weights
from ml.evaluation.metrics import macro_auc
from ml.task_config import TaskConfig
from ml.training.batches import ImageBatches
from ml.training.network import build_network

BEST = "best.keras"
LATEST = "latest.keras"
STATE = "state.json"
HISTORY = "history.csv"
COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_macro_auc", "changed_loss")


@dataclass(slots=True)
class RunState:
    """Where a run stands; written after every epoch, so that it can go on after a stop."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """After every epoch: score validation, write the checkpoint and the curve, stop if stuck.

    The network kept is the one with the least loss on the validation images as they are and as
    changed at random, both together: one that leans on exposure or sharpness does well on the
    first and fails on another hospital's images.
    """

    def __init__(
        self, run: Path, state: RunState, validation: Sequence[ImageBatches], patience: int
    ) -> None:
        super().__init__()
        self.run = run
        self.state = state
        self.patience = patience
        self.images = [batches.images() for batches in validation]
        labels = validation[0].config.data.labels
        self.targets = np.array([labels.index(row.label) for row in validation[0].examples])
        self.weights = validation[0].weights

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch and keep the network if it is the best so far."""
        plain, changed = (
            softmax(self.model.predict(images, batch_size=64, verbose=0)) for images in self.images
        )
        row: dict[str, float] = {
            **(logs or {}),
            "epoch": epoch + 1,
            "val_loss": self._loss(plain),
            "val_accuracy": float((plain.argmax(axis=1) == self.targets).mean()),
            "val_macro_auc": macro_auc(plain, self.targets),
            "changed_loss": self._loss(changed),
        }
        self.state.epoch = epoch + 1
        loss = (row["val_loss"] + row["changed_loss"]) / 2
        if loss < self.state.best_loss:
            self.state.best_loss, self.state.best_epoch = loss, epoch + 1
            self.model.save(self.run / BEST)
        self.model.save(self.run / LATEST)
        _append_history(self.run / HISTORY, row)
        (self.run / STATE).write_text(json.dumps(dataclasses.asdict(self.state)))
        if epoch + 1 - self.state.best_epoch >= self.patience:
            self.model.stop_training = True

    def _loss(self, scores: NDArray[np.float64]) -> float:
        """Weighted log loss of the validation images."""
        right = scores[np.arange(len(self.targets)), self.targets]
        return float(-np.average(np.log(right + 1e-12), weights=self.weights))


def _append_history(path: Path, row: dict[str, float]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
        if is_new:
            writer.writeheader()
        writer.writerow({name: row[name] for name in COLUMNS})


def train_network(config: TaskConfig, dataset: Dataset, run: Path) -> Path:
    """Train into the folder `run`, going on where it stopped; returns the best network's path."""
    keras.utils.set_random_seed(config.training.seed)
    run.mkdir(parents=True, exist_ok=True)
    state = read_state(run)
    training = _batches(
        dataset, config, "train", is_augmented=True, is_shuffled=True, first_epoch=state.epoch
    )
    validation = [_batches(dataset, config, "val", is_augmented=flag) for flag in (False, True)]
    if state.epoch:
        network = keras.saving.load_model(run / LATEST)
    else:
        network = build_network(config)
        _compile(network, config, steps_per_epoch=len(training))
    if state.epoch < config.training.epochs:
        network.fit(
            training,
            initial_epoch=state.epoch,
            epochs=config.training.epochs,
            callbacks=[Progress(run, state, validation, config.training.patience)],
            verbose=2,
        )
    return run / BEST


def read_state(run: Path) -> RunState:
    """Where the run in that folder stands; a new run stands at its beginning."""
    path = run / STATE
    return RunState(**json.loads(path.read_text())) if path.exists() else RunState()


def _batches(dataset: Dataset, config: TaskConfig, split: str, **options: Any) -> ImageBatches:
    examples = dataset.of_split(split)
    weights = balance_weights(examples, power=config.training.balance_power)
    return ImageBatches(examples, config, weights=weights, **options)


def _compile(network: Any, config: TaskConfig, *, steps_per_epoch: int) -> None:
    training = config.training
    warmup = int(training.warmup_epochs * steps_per_epoch)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=training.learning_rate / 100,
        decay_steps=max(1, training.epochs * steps_per_epoch - warmup),
        alpha=0.01,
        warmup_target=training.learning_rate,
        warmup_steps=warmup,
    )
    network.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=training.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=training.label_smoothing
        ),
        metrics=["accuracy"],
    )
