"""Averaged weights of runs that differ in their seed: one network's cost, several's steadiness.

After Wortsman et al. 2022, "Model soups". It needs a common start: runs from the same pretrained
weights can be averaged, runs from random weights can't. Validation shows which is the case.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles import hash_file
from ml.calibration import softmax
from ml.errors import RunMismatch, SoupInvalid
from ml.workshop.datasets import Dataset, Example
from ml.workshop.evaluation.metrics import score_labels
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.loop import BEST, HISTORY, SOUP, STATE
from ml.workshop.training.outputs import run_network
from ml.workshop.training.recipe import RECIPE, check_run
from ml.workshop.tuning.fitting import write_json

KINDS = ("greedy", "uniform")

Weights = list[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Member:
    """A run, the SHA-256 of its network, and its log loss and accuracy on validation."""

    run: str
    sha256: str
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Soup:
    """The runs offered, best first, those that were taken in, and what the average reaches."""

    kind: str
    offered: tuple[Member, ...]
    taken: tuple[str, ...]
    loss: float
    accuracy: float


def make_soup(
    config: TaskConfig, dataset: Dataset, runs: Sequence[Path], target: Path, *, kind: str
) -> Soup:
    """Average the best networks of `runs` into the run folder `target`, which `export` takes.

    `uniform` averages all of them. `greedy` goes from the best to the worst on validation and keeps
    each that doesn't raise the log loss of the average so far; it is never worse than the best
    run there. Every weight is averaged, batch norms' statistics too. Raises SoupInvalid for under
    two runs or different networks, RunMismatch when `target` exists and for runs of another recipe.
    """
    if target.exists():
        raise RunMismatch(path=target, detail="it exists already")
    validation = dataset.of_split("val")
    network, weights = _load_networks(runs)
    for run in runs:
        check_run(config, dataset, run, seeds=config.training.seeds)
    offered, order = _judge(config, network, runs, weights, validation)
    taken = order
    if kind == "greedy":
        taken = _choose_greedily(config, network, weights, order, validation)
    network.set_weights(average_weights([weights[row] for row in taken]))
    loss, accuracy = _score(config, network, validation)
    soup = Soup(
        kind=kind,
        offered=tuple(offered),
        taken=tuple(str(runs[row]) for row in taken),
        loss=loss,
        accuracy=accuracy,
    )
    _write(network, runs[order[0]], target, soup)
    return soup


def _load_networks(runs: Sequence[Path]) -> tuple[Any, list[Weights]]:
    """The first run's network, and the weights of all."""
    if len(runs) < 2:
        raise SoupInvalid(detail="one run is no average")
    if absent := [run for run in runs if not (run / BEST).is_file()]:
        raise SoupInvalid(detail=f"{absent[0]} has no {BEST}")
    networks = [keras.saving.load_model(run / BEST, compile=False) for run in runs]
    shapes = [_describe(network) for network in networks]
    if different := [run for run, shape in zip(runs, shapes, strict=True) if shape != shapes[0]]:
        raise SoupInvalid(detail=f"{different[0]} holds another network than {runs[0]}")
    return networks[0], [network.get_weights() for network in networks]


def _describe(network: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Layers and the shapes of their weights: what two networks must share to be averaged."""
    return [
        (layer.name, weight.shape) for layer in network.layers for weight in layer.get_weights()
    ]


def _judge(
    config: TaskConfig,
    network: Any,
    runs: Sequence[Path],
    weights: Sequence[Weights],
    validation: Sequence[Example],
) -> tuple[list[Member], list[int]]:
    """The runs with their figures, best first, and their positions in that order."""
    members = []
    for run, one in zip(runs, weights, strict=True):
        network.set_weights(one)
        loss, accuracy = _score(config, network, validation)
        members.append(Member(str(run), hash_file(run / BEST), loss, accuracy))
    order = sorted(range(len(runs)), key=lambda row: members[row].loss)
    return [members[row] for row in order], order


def _choose_greedily(
    config: TaskConfig,
    network: Any,
    weights: Sequence[Weights],
    order: Sequence[int],
    validation: Sequence[Example],
) -> list[int]:
    taken: list[int] = []
    lowest = np.inf
    for row in order:
        network.set_weights(average_weights([weights[one] for one in (*taken, row)]))
        loss, _ = _score(config, network, validation)
        if loss <= lowest:
            taken.append(row)
            lowest = loss
    return taken


def average_weights(members: Sequence[Weights]) -> Weights:
    """The mean of each array, summed in float64, in its own type."""
    return [
        np.mean(np.stack([np.asarray(one, np.float64) for one in arrays]), axis=0).astype(
            arrays[0].dtype
        )
        for arrays in zip(*members, strict=True)
    ]


def _score(config: TaskConfig, network: Any, validation: Sequence[Example]) -> tuple[float, float]:
    """Log loss and accuracy on the validation images."""
    outputs = run_network(network, validation, config)
    scores = softmax(outputs.logits)
    right = scores[np.arange(len(outputs.targets)), outputs.targets]
    figures = score_labels(outputs.targets, scores.argmax(axis=1), config.data.labels)
    return float(-np.log(right + 1e-12).mean()), figures["accuracy"]


def _write(network: Any, first: Path, target: Path, soup: Soup) -> None:
    """A run folder: the network, what the best member has besides, and the record."""
    target.mkdir(parents=True)
    network.save(target / BEST)
    for name in (RECIPE, STATE, HISTORY):
        shutil.copyfile(first / name, target / name)
    write_json(target / SOUP, soup)
