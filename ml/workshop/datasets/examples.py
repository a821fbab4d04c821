"""The rows of a data set: which image carries which label, in which split, of which group."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.workshop.task_config import TrainingConfig

SPLITS = ("train", "val", "test")
# Rows of other places: never trained on, and nothing is chosen by them.
EXTERNAL = "external-test"


@dataclass(frozen=True, slots=True)
class Example:
    """One row: `set_label` as the set has it, `label` as the task uses it.

    `group` is what must not cross splits, the patient where it is known. `facts` are the other
    columns by name: age in years, sex, site, confirmation.
    """

    path: Path
    name: str
    label: str
    set_label: str
    source: str
    group: str
    split: str
    population: str
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)


Accepted = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ExternalSource:
    """The rows of one source of another place, their `label` being the set's.

    `accepted` leads from a label of the set to the task's labels of which each is right, none for
    what the task has no label for. `digest` is the SHA-256 of the table. `left_out` are rows that a
    list of the task file names, each with the reason: they are in no figure, and in no split.
    """

    name: str
    table: str
    examples: tuple[Example, ...]
    accepted: Accepted
    digest: str
    left_out: tuple[tuple[Example, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """The rows of one task, and the SHA-256 of what defines them: a table, or files and folders.

    `origin` says in a sentence where the rows were found, `notes` are sentences for whoever uses
    them, and `left_out` counts rows of the table that aren't used, by the table's label.
    `external` are the sources of other places that the task file names, as far as they lie at hand.
    """

    examples: tuple[Example, ...]
    digest: str
    origin: str = ""
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)
    external: tuple[ExternalSource, ...] = field(default=(), hash=False)

    def of_split(self, split: str) -> list[Example]:
        """The rows of `train`, `val` or `test`, in the set's order."""
        return [example for example in self.examples if example.split == split]


def index_labels(examples: Sequence[Example], labels: Sequence[str]) -> NDArray[np.int64]:
    """Each example's place among the labels (N)."""
    return np.array([labels.index(example.label) for example in examples], np.int64)


def balance_weights(
    examples: Sequence[Example], *, power: float, source_power: float = 0.0
) -> list[float]:
    """Weight of each example, mean 1: rarer (source, label) cells count more.

    Balancing inside each source, not over all, keeps the network from learning that an image
    of the source with most pneumonia is likely pneumonia. `power` 0 leaves all equal, 1 makes
    every cell count the same. `source_power` does so with what each source then counts as a whole.
    """
    cells = Counter((example.source, example.set_label) for example in examples)
    raw = [cells[example.source, example.set_label] ** -power for example in examples]
    totals: defaultdict[str, float] = defaultdict(float)
    for example, weight in zip(examples, raw, strict=True):
        totals[example.source] += weight
    raw = [
        weight * totals[example.source] ** -source_power
        for example, weight in zip(examples, raw, strict=True)
    ]
    mean = sum(raw) / len(raw)
    return [weight / mean for weight in raw]


def training_weights(examples: Sequence[Example], training: TrainingConfig) -> list[float]:
    """What each training image counts."""
    power, source_power = training.balance_power, training.source_power
    return balance_weights(examples, power=power, source_power=source_power)


def validation_weights(examples: Sequence[Example], training: TrainingConfig) -> list[float]:
    """What each validation image counts: with a source power every source the same."""
    source_power = 1.0 if training.source_power else 0.0
    return balance_weights(examples, power=training.balance_power, source_power=source_power)
