"""A data set whose labels say nothing: what is learned on it was leaked, not seen."""

import dataclasses
import hashlib
from collections import Counter

from ml.workshop.datasets.examples import Dataset

# 64 bits of a hash as a fraction.
DRAWS = 2**64


def randomise_labels(dataset: Dataset, *, seed: int) -> Dataset:
    """The same images, each group with one label drawn by how frequent labels are.

    The draw depends on the seed and the group's name alone. So a group that crosses splits takes
    its label along, and a network that is better than chance on validation gives the leak away.
    """
    counts = Counter(example.label for example in dataset.examples)
    labels = sorted(counts)
    shares = [counts[label] / counts.total() for label in labels]
    examples = []
    for example in dataset.examples:
        label = _choose(labels, shares, f"{seed}:{example.group}")
        examples.append(dataclasses.replace(example, label=label, set_label=label))
    return dataclasses.replace(
        dataset,
        examples=tuple(examples),
        digest=hashlib.sha256(f"{dataset.digest}:random:{seed}".encode()).hexdigest(),
        origin=f"{dataset.origin}; labels drawn at random",
    )


def _choose(labels: list[str], shares: list[float], key: str) -> str:
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / DRAWS
    for label, share in zip(labels, shares, strict=True):
        place -= share
        if place < 0:
            return label
    return labels[-1]
