"""Folds: groups never cross them, and each has its share of every label as well as groups allow."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from ml.errors import DataInvalid
from ml.workshop.datasets import Dataset, Example

Assignment = NDArray[np.int64]

# One part in so many of a fold's training rows is kept for early stopping and calibration.
INNER_PARTS = 5


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: `dataset` holds its training rows as `train` and `val`, `held_out` the others.

    `rows` are the positions of the held-out ones in the data set that was divided.
    """

    number: int
    dataset: Dataset
    held_out: tuple[Example, ...]
    rows: Assignment


def assign_folds(examples: Sequence[Example], count: int, *, seed: int) -> Assignment:
    """The fold (0..count-1) of each example, by scikit-learn's StratifiedGroupKFold.

    Raises DataInvalid for fewer groups than folds, or when no label has as many images.
    """
    labels = np.array([example.label for example in examples])
    groups = np.array([example.group for example in examples])
    if len(set(groups)) < count:
        raise DataInvalid(path="given", detail=f"{len(set(groups))} groups for {count} folds")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    assignment = np.zeros(len(examples), np.int64)
    try:
        for fold, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            assignment[held] = fold
    except ValueError as error:
        raise DataInvalid(path="given", detail=error) from error
    if len(set(assignment)) < count:
        raise DataInvalid(path="given", detail=f"too few groups to fill {count} folds")
    return assignment


def make_folds(dataset: Dataset, count: int, *, seed: int) -> Iterator[Fold]:
    """Each fold with its held-out rows, and the others split again by group for validation."""
    assignment = assign_folds(dataset.examples, count, seed=seed)
    for number in range(count):
        rows = np.flatnonzero(assignment == number)
        held = tuple(dataset.examples[row] for row in rows)
        kept = [dataset.examples[row] for row in np.flatnonzero(assignment != number)]
        inner = dataclasses.replace(dataset, examples=split_validation(kept, seed=seed))
        yield Fold(number=number, dataset=inner, held_out=held, rows=rows)


def split_validation(examples: Sequence[Example], *, seed: int) -> tuple[Example, ...]:
    """The examples as `train` and `val`, about a fifth validation, divided by group.

    Of the possible fifths it is the one that leaves every label on both sides, if there is one.
    """
    parts = assign_folds(examples, INNER_PARTS, seed=seed)
    labels = np.array([example.label for example in examples])

    def missing(part: int) -> tuple[int, int]:
        found = set(labels)
        return len(found - set(labels[parts != part])), len(found - set(labels[parts == part]))

    chosen = min(range(INNER_PARTS), key=missing)
    return tuple(
        dataclasses.replace(example, split="val" if part == chosen else "train")
        for example, part in zip(examples, parts, strict=True)
    )


def make_search_folds(dataset: Dataset, count: int, *, seed: int) -> list[Dataset]:
    """Datasets whose `val` is one fold of the rows each and whose `train` are the others.

    For comparing recipes only: the fold that judges has also chosen the epoch.
    """
    assignment = assign_folds(dataset.examples, count, seed=seed)
    return [
        dataclasses.replace(
            dataset,
            examples=tuple(
                dataclasses.replace(example, split="val" if part == fold else "train")
                for example, part in zip(dataset.examples, assignment, strict=True)
            ),
        )
        for fold in range(count)
    ]


def count_groups(
    examples: Sequence[Example], assignment: Assignment, count: int
) -> dict[str, list[int]]:
    """For each label, the number of groups with it in each fold."""
    found: dict[str, list[set[str]]] = {}
    for example, fold in zip(examples, assignment, strict=True):
        found.setdefault(example.label, [set() for _ in range(count)])[fold].add(example.group)
    return {label: [len(groups) for groups in folds] for label, folds in sorted(found.items())}


def find_weaknesses(examples: Sequence[Example], count: int) -> list[str]:
    """What is wrong with the rows for that many folds, in sentences."""
    groups_of: dict[str, set[str]] = {}
    labels_of: dict[str, set[str]] = {}
    for example in examples:
        groups_of.setdefault(example.label, set()).add(example.group)
        labels_of.setdefault(example.group, set()).add(example.label)
    notes = [
        f"{label} has only {len(groups)} groups for {count} folds: some folds hold none of it."
        for label, groups in sorted(groups_of.items())
        if len(groups) < count
    ]
    if mixed := sum(len(labels) > 1 for labels in labels_of.values()):
        notes.append(f"{mixed} groups hold several labels; they stay whole, in one fold.")
    return notes
