"""The training loop: stages, checkpoints that resume, curves, early stop on validation."""

import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from ml.errors import DataInvalid, TrainingDiverged
from ml.workshop.datasets import Dataset, training_weights, validation_weights
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.batches import ImageBatches
from ml.workshop.training.checkpoints import (
    LATEST,
    STATE,
    Row,
    RunState,
    read_checkpoint,
    read_state,
    write_checkpoint,
)
from ml.workshop.training.curves import plot_curves
from ml.workshop.training.devices import choose_precision, find_accelerators, share_batches
from ml.workshop.training.files import PART, AtomicFile
from ml.workshop.training.network import build_network, build_unfilled, keep_labels
from ml.workshop.training.progress import EpochBar, write_epoch
from ml.workshop.training.recipe import claim_run
from ml.workshop.training.scoring import list_columns, score_validation
from ml.workshop.training.stages import Stage, plan_stages, prepare_stage, read_weights

__all__ = [
    "BEST",
    "CURVES",
    "HISTORY",
    "LATEST",
    "SOUP",
    "STATE",
    "OnEpoch",
    "RunState",
    "read_state",
    "train_network",
]

BEST = "best.keras"
HISTORY = "history.csv"
CURVES = "curves.png"
# What `ml.workshop.tuning.soup` leaves in a run whose network is an average.
SOUP = "soup.json"
OnEpoch = Callable[[int, Row], None]


def train_network(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    *,
    on_epoch: OnEpoch | None = None,
    workers: int | None = None,
    devices: Sequence[str] | None = None,
) -> Path:
    """Train into the folder `run`, going on where it stopped; returns the best network's path.

    A run that was stopped ends with the same weights as one that was not. `on_epoch` is called
    after every epoch, once it is written, with its number (from 1) and its row of the history;
    what it raises ends the training, which can go on from there later. `workers` are the threads
    that prepare batches, `devices` those that share each batch: every GPU unless said otherwise.
    Raises TaskConfigInvalid, DataInvalid, CheckpointInvalid and TrainingDiverged, and RunMismatch
    for a run that was begun with other choices or other images.
    """
    claim_run(config, dataset, run)
    keras.utils.set_random_seed(config.training.seed)
    training = _Training(config, dataset, run, workers, devices)
    for stage in plan_stages(config.training):
        while stage.first <= training.state.epoch < stage.last and not training.is_stuck(stage):
            row = training.run_epoch(stage)
            if on_epoch:
                on_epoch(training.state.epoch, row)
    if not training.state.best_epoch:
        raise TrainingDiverged(epoch=training.state.epoch)
    return run / BEST


class _Training:
    """A run in progress: its batches, its two networks and its checkpoint.

    One network learns. The other, `judged`, is filled from it after each epoch, from the moving
    average if there is one, in float32 whatever the precision, with the logits of the labels alone:
    it is scored, and kept if best.
    """

    def __init__(
        self,
        config: TaskConfig,
        dataset: Dataset,
        run: Path,
        workers: int | None,
        devices: Sequence[str] | None,
    ) -> None:
        devices = find_accelerators() if devices is None else devices
        self.config = config
        self.run = run
        self.checkpoint = read_checkpoint(run)
        self.shared = share_batches(config, devices)
        options = {"is_augmented": True, "is_shuffled": True, "is_whole": len(devices) > 1}
        self.training = _make_batches(dataset, config, "train", workers, **options)
        self.plain = _make_batches(dataset, config, "val", workers)
        self.changed = _make_batches(dataset, config, "val", workers, is_augmented=True)
        # A network that goes on needs no first weights.
        build = build_unfilled if self.state.epoch else build_network
        with self.shared():
            precision = choose_precision(config.training.precision)
            self.network = build(config, precision=precision, turns=self.training.turns)
        self.judged = build_unfilled(config)
        self._stage: Stage | None = None
        for batches in (self.training, self.plain, self.changed):
            batches.load()

    @property
    def state(self) -> RunState:
        return self.checkpoint.state

    def is_stuck(self, stage: Stage) -> bool:
        """Whether nothing got better for too long; while the head trains alone nothing counts."""
        since = self.state.epoch - max(self.state.best_epoch, stage.first)
        return not stage.is_head_only and since >= self.config.training.patience

    def run_epoch(self, stage: Stage) -> Row:
        """Train for one epoch, judge, and write the best network, the checkpoint, the curves."""
        begun = time.monotonic()
        with self.shared():
            self._enter(stage)
            logs = self._fit()
            self.checkpoint.take(self.network)
            weights = read_weights(self.network)
        self.judged.set_weights(keep_labels(weights, len(self.config.data.labels)))
        row = {**logs, "epoch": self.state.epoch + 1}
        row |= score_validation(self.judged, self.plain, self.changed)
        row = {name: float(row[name]) for name in list_columns([row])}
        if not math.isfinite(row["loss"] + row["val_loss"]):
            raise TrainingDiverged(epoch=self.state.epoch + 1)
        is_best = self._note(row)
        write_checkpoint(self.run, self.checkpoint)
        _write_history(self.checkpoint.history, self.run)
        seconds = time.monotonic() - begun
        write_epoch(row, epochs=self.config.training.epochs, seconds=seconds, is_best=is_best)
        return row

    def _enter(self, stage: Stage) -> None:
        """At the first epoch of a stage, or of a process, compile and take the checkpoint up."""
        if stage == self._stage:
            return
        self._stage = stage
        prepare_stage(self.network, self.config, stage, steps=len(self.training))
        if self.state.epoch:
            self.checkpoint.restore_network(self.network, self.run)
        if self.state.epoch > stage.first:
            self.checkpoint.restore_optimizer(self.network, self.run)

    def _fit(self) -> Row:
        self.training.start_epoch(self.state.epoch)
        epochs, steps = self.config.training.epochs, len(self.training)
        bar = EpochBar(self.state.epoch + 1, epochs, steps)
        # Keras would shuffle the batches by a generator that no checkpoint holds.
        fitted = self.network.fit(self.training, callbacks=[bar], verbose=0, shuffle=False)
        return {name: values[-1] for name, values in fitted.history.items()}

    def _note(self, row: Row) -> bool:
        """Take the epoch into the state; the network is written if it is the best so far.

        It is written before the checkpoint: a process killed in between does the epoch again.
        """
        monitor = self.config.training.monitor
        score = -row[monitor] if monitor.endswith("loss") else row[monitor]
        self.state.epoch += 1
        self.checkpoint.history.append(row)
        if not score > self.state.best_score:
            return False
        self.state.best_score, self.state.best_epoch = score, self.state.epoch
        part = self.run / f"{PART.strip('.')}-{BEST}"
        self.judged.save(part)
        part.replace(self.run / BEST)
        return True


def _write_history(history: Sequence[Row], run: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list_columns(history), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)
    with AtomicFile(run / HISTORY) as stream:
        stream.write(text.getvalue().encode())
    plot_curves(run / HISTORY, run / CURVES)


def _make_batches(
    dataset: Dataset, config: TaskConfig, split: str, workers: int | None, **options: Any
) -> ImageBatches:
    examples = dataset.of_split(split)
    if not examples:
        raise DataInvalid(path=dataset.origin or config.data.table, detail=f"no image in {split}")
    weigh = training_weights if split == "train" else validation_weights
    weights = weigh(examples, config.training)
    return ImageBatches(examples, config, weights=weights, workers=workers, **options)
