"""The rows of a data set: which image carries which label, in which split, of which group."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


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


@dataclass(frozen=True, slots=True)
class Dataset:
    """The rows of one task, and the SHA-256 of what defines them: a table, or files and folders.

    `origin` says in a sentence where the rows were found.
    """

    examples: tuple[Example, ...]
    digest: str
    origin: str = ""

    def of_split(self, split: str) -> list[Example]:
        """The rows of `train`, `val` or `test`, in the set's order."""
        return [example for example in self.examples if example.split == split]


def index_labels(examples: Sequence[Example], labels: Sequence[str]) -> NDArray[np.int64]:
    """Each example's place among the labels (N)."""
    return np.array([labels.index(example.label) for example in examples], np.int64)


def balance_weights(examples: Sequence[Example], *, power: float) -> list[float]:
    """Weight of each example, mean 1: rarer (source, label) cells count more.

    Balancing inside each source, not over all, keeps the network from learning that an image
    of the source with most pneumonia is likely pneumonia. `power` 0 leaves all equal, 1 makes
    every cell count the same.
    """
    cells = Counter((example.source, example.set_label) for example in examples)
    raw = [cells[example.source, example.set_label] ** -power for example in examples]
    mean = sum(raw) / len(raw)
    return [weight / mean for weight in raw]
