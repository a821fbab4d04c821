"""Audits a data set: what it holds, what leaks, and what can be told without looking at disease."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.errors import (
    CopyCrossesSplits,
    GroupCrossesSplits,
    ImagesUnreadable,
    MLError,
    NearDuplicateCrossesSplits,
)
from ml.workshop.audit.confounding import (
    Confounding,
    SourceGuess,
    guess_sources,
    measure_confounding,
)
from ml.workshop.audit.leaks import (
    CrossingGroup,
    Pair,
    find_crossing_groups,
    find_pairs,
)
from ml.workshop.audit.pictures import Picture, Unreadable, read_pictures
from ml.workshop.datasets import EXTERNAL, SPLITS, Example, load_dataset
from ml.workshop.evaluation.baselines import (
    frozen_scores,
    linear_scores,
    score_baseline,
)
from ml.workshop.task_config import TaskConfig

Counts = dict[str, dict[str, int]]
Figures = dict[str, dict[str, float]]

THUMBNAILS = "16 x 16 thumbnails, logistic regression"
FROZEN = "frozen backbone, linear layer"


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. `pictures` are the images that could be read.

    Copies and groups are looked for among the images of other places too; `external` counts these
    by source.
    `balance` counts images by label and split, `sources` by source and label, `left_out` rows of
    the table that the task doesn't use, by their label. `baselines` holds figures by name and
    split, learned from the training split.
    """

    task: str
    labels: tuple[str, ...]
    origin: str
    notes: list[str]
    digest: str
    images: int
    external: dict[str, int]
    balance: Counts
    groups: dict[str, int]
    left_out: dict[str, int]
    sources: Counts
    shapes: Counts
    unreadable: list[Unreadable]
    crossing_groups: list[CrossingGroup]
    pairs: list[Pair]
    confounding: list[Confounding]
    source_guess: SourceGuess | None
    baselines: dict[str, Figures]
    pictures: list[Picture]

    @property
    def crossing_pairs(self) -> list[Pair]:
        """Copies and near-duplicates in different splits."""
        return [pair for pair in self.pairs if pair.crosses_splits]

    @property
    def conflicts(self) -> list[Pair]:
        """Copies and near-duplicates with different labels."""
        return [pair for pair in self.pairs if pair.labels_differ]

    @property
    def errors(self) -> list[MLError]:
        """Why the set must not be used as it is; none when it is clean."""
        found: list[MLError] = []
        if groups := self.crossing_groups:
            found.append(GroupCrossesSplits(count=len(groups), first=groups[0].group))
        exact = [pair for pair in self.crossing_pairs if pair.is_exact]
        near = [pair for pair in self.crossing_pairs if not pair.is_exact]
        if exact:
            found.append(CopyCrossesSplits(count=len(exact), first=_name_pair(exact[0])))
        if near:
            found.append(NearDuplicateCrossesSplits(count=len(near), first=_name_pair(near[0])))
        if bad := self.unreadable:
            found.append(ImagesUnreadable(count=len(bad), first=f"{bad[0].name} ({bad[0].code})"))
        return found


def _name_pair(pair: Pair) -> str:
    return f"{pair.first.name} ({pair.first.split}) and {pair.second.name} ({pair.second.split})"


def audit_dataset(
    config: TaskConfig, root: Path, *, weights: Path | None = None, images: Path | None = None
) -> Audit:
    """Look at every image of the task's data set under `root`.

    `images` is where a table's paths begin. With `weights`, a file of ImageNet weights, the frozen
    backbone is measured too. Raises DataInvalid when the set can't even be listed.
    """
    dataset = load_dataset(root, config.data, may_leak=True, images=images)
    examples = dataset.examples
    external = [row for source in dataset.external for row in source.examples]
    every, unreadable = read_pictures([*examples, *external])
    pictures = [one for one in every if one.example.split != EXTERNAL]
    return Audit(
        task=config.task,
        labels=config.data.labels,
        origin=dataset.origin,
        notes=list(dataset.notes),
        digest=dataset.digest,
        images=len(examples),
        external=dict(Counter(row.source for row in external)),
        balance=_count(examples, lambda row: row.label, lambda row: row.split),
        groups={name: len({row.group for row in dataset.of_split(name)}) for name in SPLITS},
        left_out=dict(dataset.left_out),
        sources=_count(examples, lambda row: row.source, lambda row: row.set_label),
        shapes=_count_shapes(pictures),
        unreadable=unreadable,
        crossing_groups=find_crossing_groups([*examples, *external]),
        pairs=find_pairs(every),
        confounding=measure_confounding(pictures),
        source_guess=guess_sources(pictures),
        baselines=_score_baselines(pictures, config, weights),
        pictures=pictures,
    )


def _count(
    examples: Iterable[Example], row: Callable[[Example], str], column: Callable[[Example], str]
) -> Counts:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        table[row(example)][column(example)] += 1
    return {name: dict(counts) for name, counts in sorted(table.items())}


def _count_shapes(pictures: Iterable[Picture]) -> Counts:
    """Images by size, mode and kind of file, the most frequent first."""
    table: dict[str, Counter[str]] = {"size": Counter(), "mode": Counter(), "kind": Counter()}
    for picture in pictures:
        for name, counts in table.items():
            counts[getattr(picture, name)] += 1
    return {name: dict(counts.most_common()) for name, counts in table.items()}


def _score_baselines(
    pictures: Sequence[Picture], config: TaskConfig, weights: Path | None
) -> dict[str, Figures]:
    """Both baselines on the validation and the test split, learned from the training split."""
    training = [one for one in pictures if one.example.split == "train"]
    asked = [one for one in pictures if one.example.split != "train"]
    if not training or not asked:
        return {}
    seen, unseen = (np.stack([one.levels for one in part]) for part in (training, asked))
    rows = [one.example for one in training]
    testing = [one.example for one in asked]
    labels = config.data.labels
    scores = {THUMBNAILS: linear_scores(seen, [row.label for row in rows], unseen, labels)}
    if weights is not None:
        scores[FROZEN] = frozen_scores(rows, testing, config, weights)
    found: dict[str, Figures] = {}
    for name, given in scores.items():
        found[name] = {}
        for split in SPLITS[1:]:
            kept = [number for number, row in enumerate(testing) if row.split == split]
            if kept:
                part = [testing[number] for number in kept]
                found[name][split] = score_baseline(given[kept], part, config)
    return found
