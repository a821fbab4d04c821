"""Splits and limits that a data set doesn't bring: drawn by group, the same way every time."""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from ml.errors import DataInvalid
from ml.workshop.datasets.examples import SPLITS, Example
from ml.workshop.datasets.groups import is_leak, normalise_group

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
# Part of what is hashed to draw; another value would draw other splits.
DRAW = "1"


def draw_splits(examples: Sequence[Example], splits: Sequence[str] = SPLITS) -> list[Example]:
    """The examples spread over the splits, label by label in the usual shares, groups whole.

    A group of several labels counts with its most frequent one. The draw depends on the groups'
    names alone, not on the order of the files. A label of three groups or more is in every split.
    """
    members: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        members[normalise_group(example.group)].append(example)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    split_of: dict[str, str] = {}
    for group in sorted(members, key=lambda name: _draw_key(min(r.group for r in members[name]))):
        labels = Counter(example.label for example in members[group])
        count = counts[min(labels, key=lambda label: (-labels[label], label))]
        # The one that lacks most of its share.
        split = min(splits, key=lambda name: (count[name] / SHARES[name], -SHARES[name], name))
        count[split] += len(members[group])
        split_of[group] = split
    return [
        dataclasses.replace(row, split=split_of[normalise_group(row.group)]) for row in examples
    ]


def limit_cells(
    examples: Sequence[Example], limit: int, cell: Callable[[Example], Hashable]
) -> list[Example]:
    """At most `limit` examples of each cell (0: all), drawn by name, in the order they came."""
    if not limit:
        return list(examples)
    kept: Counter[Hashable] = Counter()
    chosen = set()
    for example in sorted(examples, key=lambda example: _draw_key(example.name)):
        kept[cell(example)] += 1
        if kept[cell(example)] <= limit:
            chosen.add(example.path)
    return [example for example in examples if example.path in chosen]


def check_splits(
    examples: Sequence[Example],
    where: Path,
    *,
    external: Sequence[Example] = (),
    may_leak: bool = False,
) -> None:
    """Refuse (DataInvalid) an empty set, unknown splits, and groups in two of them.

    `external` are the images of other places: a group of theirs must not be learned from.
    """
    if not examples:
        raise DataInvalid(path=where, detail="no image carries a label of the task")
    first: dict[str, Example] = {}
    leaked: dict[str, tuple[str, str]] = {}
    for example in (*examples, *external):
        other = first.setdefault(normalise_group(example.group), example)
        if is_leak(other.split, example.split):
            leaked.setdefault(example.group, (other.name, example.name))
    if unknown := {example.split for example in examples} - set(SPLITS):
        raise DataInvalid(path=where, detail=f"unknown split {sorted(unknown)}")
    if leaked and not may_leak:
        group, names = next(iter(leaked.items()))
        detail = f"{len(leaked)} groups cross splits: {group} ({names[0]} and {names[1]})"
        raise DataInvalid(path=where, detail=detail)


def _draw_key(name: str) -> str:
    return hashlib.sha256(f"{DRAW}:{name}".encode()).hexdigest()
