"""Groups, copies and near-duplicates that cross splits, and pictures with two labels."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.workshop.audit.alignment import find_moved
from ml.workshop.audit.likeness import find_near
from ml.workshop.audit.pictures import Picture
from ml.workshop.datasets import EXTERNAL, Example
from ml.workshop.datasets.groups import is_leak, normalise_group

SAME_FILE, SAME_PIXELS, NEAR = "same file", "same pixels", "near-duplicate"
MOVED, MIRRORED = "moved copy", "mirrored copy"
# Which of two copies goes: the image of the split that comes first here.
GOING = ("train", "val", EXTERNAL, "test")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two examples of one picture: the Hamming distance of their hashes, and how alike they are."""

    first: Example
    second: Example
    kind: str
    distance: int
    correlation: float

    @property
    def crosses_splits(self) -> bool:
        """Whether what is learned from one is asked of the other."""
        return self.first.split != self.second.split

    @property
    def labels_differ(self) -> bool:
        """Whether one of the two labels must be wrong; other places have labels of their own."""
        is_own = EXTERNAL not in (self.first.split, self.second.split)
        return is_own and self.first.label != self.second.label

    @property
    def is_exact(self) -> bool:
        """Whether the pixels are the same."""
        return self.kind in (SAME_FILE, SAME_PIXELS)


def choose_excluded(pairs: Iterable[Pair]) -> dict[str, str]:
    """Images to leave out so that no copy crosses splits, and of which image each is a copy.

    The test split stays whole, since figures on it are compared: of each pair the image of the
    earlier split goes. `pairs` are those of `find_pairs`, where one image stands for all that have
    its pixels; here each of these answers for itself, or two of them could stay in two splits.
    """
    excluded = {}
    for pair in _spread_pairs(list(pairs)):
        if pair.crosses_splits:
            gone, kept = sorted(
                (pair.first, pair.second), key=lambda example: GOING.index(example.split)
            )
            excluded[gone.name] = f"{pair.kind} of {kept.name} ({kept.split})"
    return dict(sorted(excluded.items()))


def _spread_pairs(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """The pairs that follow from those given, as far as they can cross splits; then those given.

    Every image is set beside one of each split: more would name other copies, not other images.
    """
    families = _gather_copies(pairs)
    for family in {id(family): family for family in families.values()}.values():
        for member, one in itertools.product(family, _pick(family)):
            yield Pair(member, one, SAME_PIXELS, 0, 1)
    for pair in pairs:
        if not pair.is_exact:
            first = families.get(pair.first.name, [pair.first])
            second = families.get(pair.second.name, [pair.second])
            for these, those in ((first, second), (second, first)):
                for member, one in itertools.product(these, _pick(those)):
                    yield dataclasses.replace(pair, first=member, second=one)
    yield from pairs


def _gather_copies(pairs: Iterable[Pair]) -> dict[str, list[Example]]:
    """For the name of each image with exact copies: itself and all of them."""
    families: dict[str, list[Example]] = {}
    for pair in pairs:
        if pair.is_exact:
            family = families.setdefault(pair.first.name, [pair.first])
            family += families.get(pair.second.name, [pair.second])
            families.update({member.name: family for member in family})
    return families


def _pick(family: Iterable[Example]) -> list[Example]:
    """One image of each split that the family has any in."""
    return list({example.split: example for example in family}.values())


@dataclass(frozen=True, slots=True)
class CrossingGroup:
    """A group with images in more than one split: how many in each."""

    group: str
    images: dict[str, int]


def find_crossing_groups(examples: Iterable[Example]) -> list[CrossingGroup]:
    """Groups in more than one split, however they are spelled, by name.

    Test images and those of other places may share one: neither is learned from.
    """
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for example in examples:
        counts[normalise_group(example.group)][example.split] += 1
    return [
        CrossingGroup(group, dict(found))
        for group, found in sorted(counts.items())
        if any(is_leak(*both) for both in itertools.combinations(found, 2))
    ]


def find_pairs(pictures: Sequence[Picture]) -> list[Pair]:
    """Exact copies, each beside the first of its kind, then near-duplicates, the likest first.

    Of images with the same pixels the first stands for all among the near-duplicates. Last come
    copies that were cropped, turned, shifted or mirrored, looked for across splits alone.
    """
    files = _repeats(pictures, lambda picture: picture.file_hash)
    same_file = [Pair(first.example, other.example, SAME_FILE, 0, 1) for first, other in files]
    again = {id(other) for _, other in files}
    single = [picture for picture in pictures if id(picture) not in again]
    pixels = _repeats(single, lambda picture: picture.pixel_hash)
    same_pixels = [Pair(first.example, other.example, SAME_PIXELS, 0, 1) for first, other in pixels]
    again = {id(other) for _, other in pixels}
    single = [picture for picture in single if id(picture) not in again]
    near = sorted(_near_pairs(single), key=lambda pair: -pair.correlation)
    known = {frozenset((pair.first.name, pair.second.name)) for pair in near}
    moved = [
        pair
        for pair in _moved_pairs(single)
        if frozenset((pair.first.name, pair.second.name)) not in known
    ]
    return [*same_file, *same_pixels, *near, *sorted(moved, key=lambda pair: -pair.correlation)]


def _repeats(
    pictures: Sequence[Picture], key: Callable[[Picture], str]
) -> list[tuple[Picture, Picture]]:
    first: dict[str, Picture] = {}
    pairs = []
    for picture in pictures:
        earlier = first.setdefault(key(picture), picture)
        if earlier is not picture:
            pairs.append((earlier, picture))
    return pairs


def _near_pairs(pictures: Sequence[Picture]) -> Iterator[Pair]:
    if not pictures:
        return
    thumbnails = np.stack([picture.thumbnail for picture in pictures])
    for first, second, distance, correlation in find_near(thumbnails):
        yield Pair(pictures[first].example, pictures[second].example, NEAR, distance, correlation)


def _moved_pairs(pictures: Sequence[Picture]) -> Iterator[Pair]:
    if not pictures:
        return
    thumbnails = np.stack([picture.thumbnail for picture in pictures])
    groups = _number([normalise_group(picture.example.group) for picture in pictures])
    splits = _number([picture.example.split for picture in pictures])
    for first, second, is_mirrored, correlation in find_moved(thumbnails, groups, splits):
        examples = pictures[first].example, pictures[second].example
        yield Pair(*examples, MIRRORED if is_mirrored else MOVED, 0, correlation)


def _number(names: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(np.unique(np.asarray(names), return_inverse=True)[1], np.int64)
