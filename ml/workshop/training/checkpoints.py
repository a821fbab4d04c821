"""The checkpoint of a run: all that an interrupted training needs to end as if it had not been."""

import dataclasses
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.errors import CheckpointInvalid
from ml.workshop.training.files import AtomicFile

LATEST = "latest.npz"
STATE = "state.json"
NETWORK, OPTIMIZER, HISTORY = "network", "optimizer", "history"

Row = dict[str, float]


@dataclass(slots=True)
class RunState:
    """Where a run stands, in epochs; `best_score` is the largest, its sign turned for a loss."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf


@dataclass(slots=True)
class Checkpoint:
    """A run after an epoch: its history, and the values of every variable in order.

    `network` holds the weights and the states of the random generators, `optimizer` the
    moments, the steps done and the moving average.
    """

    state: RunState = field(default_factory=RunState)
    history: list[Row] = field(default_factory=list)
    network: list[NDArray[Any]] = field(default_factory=list)
    optimizer: list[NDArray[Any]] = field(default_factory=list)

    def take(self, network: Any) -> None:
        """Copy the variables of a compiled network."""
        self.network = [keras.ops.convert_to_numpy(one) for one in network.variables]
        self.optimizer = [keras.ops.convert_to_numpy(one) for one in network.optimizer.variables]

    def restore_network(self, network: Any, run: Path) -> None:
        """Put the weights back; raises CheckpointInvalid when they are another network's."""
        _assign(network.variables, self.network, run)

    def restore_optimizer(self, network: Any, run: Path) -> None:
        """Put the optimiser back; raises CheckpointInvalid when it is another stage's."""
        _assign(network.optimizer.variables, self.optimizer, run)


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write it whole or not at all, then the state for people and for the export to read."""
    arrays: dict[str, Any] = {
        f"{name}/{index:05}": value
        for name, values in ((NETWORK, checkpoint.network), (OPTIMIZER, checkpoint.optimizer))
        for index, value in enumerate(values)
    }
    record = {"state": dataclasses.asdict(checkpoint.state), HISTORY: checkpoint.history}
    with AtomicFile(run / LATEST) as stream:
        np.savez(stream, record=np.array(json.dumps(record)), **arrays)
    with AtomicFile(run / STATE) as stream:
        stream.write(json.dumps(record["state"]).encode())


def read_checkpoint(run: Path) -> Checkpoint:
    """The run's last checkpoint, an empty one for a new run.

    Raises CheckpointInvalid when the file is broken, or missing although the run has begun.
    """
    path = run / LATEST
    if not path.exists():
        if (run / STATE).exists():
            raise CheckpointInvalid(path=run, detail="its checkpoint is missing")
        return Checkpoint()
    try:
        with np.load(path, allow_pickle=False) as stored:
            record = json.loads(str(stored["record"]))
            arrays = {
                name: [stored[key] for key in sorted(stored.files) if key.startswith(f"{name}/")]
                for name in (NETWORK, OPTIMIZER)
            }
        return Checkpoint(RunState(**record["state"]), record[HISTORY], **arrays)
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointInvalid(path=run, detail=error) from error


def read_state(run: Path) -> RunState:
    """Where the run in that folder stands; a new run stands at its beginning."""
    path = run / STATE
    return RunState(**json.loads(path.read_text())) if path.exists() else RunState()


def _assign(variables: Sequence[Any], values: Sequence[NDArray[Any]], run: Path) -> None:
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise CheckpointInvalid(path=run, detail="it belongs to other choices of the task file")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
