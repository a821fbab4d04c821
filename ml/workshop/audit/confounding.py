"""How much of the label can be told from how and where an image was taken."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.workshop.audit.pictures import Picture
from ml.workshop.evaluation.baselines import linear_scores

FACTORS = ("source", "size", "mode", "kind")


@dataclass(frozen=True, slots=True)
class Confounding:
    """One property of acquisition against the label.

    `cramers_v` is 0 for independence and 1 where one follows from the other. `guessed` is the
    accuracy on the test split of guessing the label from the property alone, `most_frequent` that
    of always saying the most frequent label of the training split.
    """

    factor: str
    values: int
    cramers_v: float
    guessed: float
    most_frequent: float


@dataclass(frozen=True, slots=True)
class SourceGuess:
    """Accuracy on the test split of telling the source from a 16 x 16 thumbnail."""

    guessed: float
    most_frequent: float


def measure_confounding(pictures: Sequence[Picture]) -> list[Confounding]:
    """Source, image size, mode and kind of file against the label; those that vary."""
    found = []
    for factor in FACTORS:
        values = [_value(picture, factor) for picture in pictures]
        if len(set(values)) > 1:
            found.append(_confound(factor, values, pictures))
    return found


def _value(picture: Picture, factor: str) -> str:
    return picture.example.source if factor == "source" else str(getattr(picture, factor))


def _confound(factor: str, values: Sequence[str], pictures: Sequence[Picture]) -> Confounding:
    labels = [picture.example.label for picture in pictures]
    by_value: dict[str, Counter[str]] = defaultdict(Counter)
    asked, answers = [], []
    for value, picture in zip(values, pictures, strict=True):
        if picture.example.split == "train":
            by_value[value][picture.example.label] += 1
        elif picture.example.split == "test":
            asked.append(value)
            answers.append(picture.example.label)
    usual = _most_frequent(sum(by_value.values(), Counter[str]()))
    # A value that training never saw gives no hint.
    guesses = [_most_frequent(by_value[value]) or usual for value in asked]
    return Confounding(
        factor=factor,
        values=len(set(values)),
        cramers_v=cramers_v(values, labels),
        guessed=_accuracy(guesses, answers),
        most_frequent=_accuracy([usual] * len(answers), answers),
    )


def _most_frequent(counts: Counter[str]) -> str:
    return counts.most_common(1)[0][0] if counts else ""


def _accuracy(guesses: Sequence[str], answers: Sequence[str]) -> float:
    hits = sum(guess == answer for guess, answer in zip(guesses, answers, strict=True))
    return hits / len(answers) if answers else float("nan")


def cramers_v(first: Sequence[str], second: Sequence[str]) -> float:
    """Association of two columns of names, 0 to 1, without bias for many values.

    Bergsma, J. Korean Stat. Soc. 42 (2013) 323: chi-squared less what chance alone would give.
    """
    rows, row_of = np.unique(first, return_inverse=True)
    columns, column_of = np.unique(second, return_inverse=True)
    total = len(first)
    counts = np.zeros((len(rows), len(columns)))
    np.add.at(counts, (row_of, column_of), 1)
    if min(counts.shape) < 2:
        return 0.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / total
    mean_square = float(((counts - expected) ** 2 / expected).sum()) / total
    r, c = counts.shape
    corrected = max(0.0, mean_square - (r - 1) * (c - 1) / (total - 1))
    limit = min(r - (r - 1) ** 2 / (total - 1), c - (c - 1) ** 2 / (total - 1)) - 1
    return float(np.sqrt(min(1.0, corrected / limit))) if limit > 0 else 0.0


def guess_sources(pictures: Sequence[Picture]) -> SourceGuess | None:
    """How well thumbnails tell the source; None where there is one source only."""
    sources = sorted({picture.example.source for picture in pictures})
    seen = [row for row, one in enumerate(pictures) if one.example.split == "train"]
    asked = [row for row, one in enumerate(pictures) if one.example.split == "test"]
    known = [pictures[row].example.source for row in seen]
    if len(sources) < 2 or not known or not asked:
        return None
    levels = np.stack([picture.levels for picture in pictures])
    scores = linear_scores(levels[seen], known, levels[asked], sources)
    answers = [pictures[row].example.source for row in asked]
    usual = Counter(known).most_common(1)[0][0]
    return SourceGuess(
        guessed=_accuracy([sources[best] for best in scores.argmax(axis=1)], answers),
        most_frequent=_accuracy([usual] * len(answers), answers),
    )
