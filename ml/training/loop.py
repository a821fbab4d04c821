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
from ml.evaluation.metrics import macro_auc, score_labels
from ml.task_config import TaskConfig, TrainingConfig
from ml.training.batches import ImageBatches
from ml.training.network import LOGITS, build_network

BEST = "best.keras"
LATEST = "latest.keras"
STATE = "state.json"
HISTORY = "history.csv"
COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_macro_auc",
    "changed_loss",
    "robust_loss",
)


@dataclass(slots=True)
class RunState:
    """Where a run stands; written after every epoch, so that it can go on after a stop."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """After every epoch: score validation, write the checkpoint and the curve, stop if stuck.

    `robust_loss` is the loss on the validation images as they are and as changed at random, both
    together: a network that leans on exposure or sharpness does well on the first and fails on
    another hospital's images.
    """

    def __init__(
        self, run: Path, state: RunState, validation: Sequence[ImageBatches], config: TrainingConfig
    ) -> None:
        super().__init__()
        self.run = run
        self.state = state
        self.config = config
        self.images = [batches.images() for batches in validation]
        self.labels = validation[0].config.data.labels
        self.targets = np.array([self.labels.index(row.label) for row in validation[0].examples])
        self.weights = validation[0].weights

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch and keep the network if it is the best so far."""
        self.state.epoch = epoch + 1
        self._swap_average()
        row: dict[str, float] = {**(logs or {}), "epoch": epoch + 1, **self._score()}
        sign = -1 if self.config.monitor.endswith("loss") else 1
        if sign * row[self.config.monitor] > self.state.best_score:
            self.state.best_score, self.state.best_epoch = (
                sign * row[self.config.monitor],
                epoch + 1,
            )
            self.model.save(self.run / BEST)
        self._swap_average()
        self.model.save(self.run / LATEST)
        _append_history(self.run / HISTORY, row)
        (self.run / STATE).write_text(json.dumps(dataclasses.asdict(self.state)))
        if epoch + 1 - self.state.best_epoch >= self.config.patience:
            self.model.stop_training = True

    def _score(self) -> dict[str, float]:
        plain, changed = (
            softmax(self.model.predict(images, batch_size=64, verbose=0)) for images in self.images
        )
        figures = score_labels(self.targets, plain.argmax(axis=1), self.labels)
        losses = self._loss(plain), self._loss(changed)
        return {
            "val_loss": losses[0],
            "val_accuracy": figures["accuracy"],
            "val_balanced_accuracy": figures["balanced_accuracy"],
            "val_macro_auc": macro_auc(plain, self.targets),
            "changed_loss": losses[1],
            "robust_loss": sum(losses) / 2,
        }

    def _loss(self, scores: NDArray[np.float64]) -> float:
        """Weighted log loss of the validation images."""
        right = scores[np.arange(len(self.targets)), self.targets]
        return float(-np.average(np.log(right + 1e-12), weights=self.weights))

    def _swap_average(self) -> None:
        """Exchange the weights with their moving average, if one is kept; twice changes nothing."""
        if not self.config.average_decay:
            return
        optimizer = self.model.optimizer
        for weight, average in zip(
            self.model.trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        ):
            held = keras.ops.copy(weight)
            weight.assign(average)
            average.assign(held)


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
    progress = Progress(run, state, validation, config.training)
    network = keras.saving.load_model(run / LATEST) if state.epoch else build_network(config)
    frozen, epochs = config.training.frozen_epochs, config.training.epochs
    for first, last in ((0, frozen), (frozen, epochs)):
        if first == state.epoch < last:
            _compile(
                network, config, steps=(last - first) * len(training), head_only=first < frozen
            )
        if state.epoch < last:
            network.fit(
                training, initial_epoch=state.epoch, epochs=last, callbacks=[progress], verbose=2
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


def _compile(network: Any, config: TaskConfig, *, steps: int, head_only: bool) -> None:
    """Set which layers learn, and a schedule of that many steps."""
    training = config.training
    for layer in network.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        is_fixed = head_only or (is_norm and config.model.fixed_norms)
        layer.trainable = layer.name == LOGITS or not is_fixed
    warmup = int(training.warmup_share * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=training.learning_rate / 100,
        decay_steps=max(1, steps - warmup),
        alpha=0.01,
        warmup_target=training.learning_rate,
        warmup_steps=warmup,
    )
    network.compile(
        optimizer=keras.optimizers.AdamW(
            schedule,
            weight_decay=training.weight_decay,
            use_ema=training.average_decay > 0,
            ema_momentum=training.average_decay or None,
        ),
        loss=_make_loss(training),
        metrics=["accuracy"],
    )


def _make_loss(training: TrainingConfig) -> Any:
    options = {"from_logits": True, "label_smoothing": training.label_smoothing}
    if training.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=training.focal_gamma, **options
        )
    return keras.losses.CategoricalCrossentropy(**options)
