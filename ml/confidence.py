"""Words of confidence that were earned: from which margin each was right often enough, and where.

A margin is how far an answer is from tipping over (`ml.aggregation.measure_margin`), 1 at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Floats
from ml.intervals import bound_by_groups

HIGH, MEDIUM, LOW = "high", "medium", "low"
WORDS = (HIGH, MEDIUM)
"""Those that have to be earned, the strongest first; `low` promises nothing."""
ASKED = {HIGH: 0.95, MEDIUM: 0.8}
"""Least share of the answers so called that must be right, in every source with enough of them."""
ENOUGH_ANSWERS = 20
"""So many answers of a source with one word say something about the source."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RightAnswers:
    """How many answers there were, and how many of them were right."""

    right: int
    answers: int


@dataclass(frozen=True, slots=True)
class WordRecord:
    """What a word has meant on the validation images.

    `low` is the lower end of the one-sided 95 % interval of the share that was right, groups
    counted and not images, in the worst source with enough answers; of all sources together
    where none has enough. `sources` are the tallies by source.
    """

    right: int
    answers: int
    low: float
    sources: dict[str, RightAnswers]


@dataclass(frozen=True, slots=True)
class Confidence:
    """Margins from which `high` and `medium` are said, what was asked, and what each word meant.

    A word that couldn't be earned has no margin and is never said.
    """

    margins: dict[str, float]
    asked: dict[str, float]
    records: dict[str, WordRecord]


def fit_confidence(
    margins: Floats, is_right: Flags, sources: Sequence[str], groups: Sequence[str]
) -> Confidence:
    """The least margins at which the words are true in every source with enough answers.

    One row for each answer that gives a label: its margin, whether the label is right, the image's
    source and its group. Of the answers called by a word (from its margin on, below that of the
    stronger word) the share asked must be right: of all of them, and of each source with enough.
    """
    margins, named = np.asarray(margins, np.float64), np.asarray(sources)
    grouped = np.asarray(groups)
    earned: dict[str, float] = {}
    records: dict[str, WordRecord] = {}
    is_open = np.ones(len(margins), bool)
    for word in WORDS:
        found = _least_margin(margins[is_open], is_right[is_open], named[is_open], ASKED[word])
        is_called = is_open & (margins >= found) if found is not None else np.zeros_like(is_open)
        if found is not None:
            earned[word] = found
            records[word] = _record(is_right[is_called], named[is_called], grouped[is_called])
        is_open &= ~is_called
    if is_open.any():
        records[LOW] = _record(is_right[is_open], named[is_open], grouped[is_open])
    return Confidence(margins=earned, asked=dict(ASKED), records=records)


def _least_margin(
    margins: Floats, is_right: Flags, sources: NDArray[np.str_], asked: float
) -> float | None:
    """The least margin from which the answers are right often enough; None where there is none."""
    order = np.argsort(-margins, kind="stable")
    ordered = margins[order]
    is_kept = np.zeros(len(order), bool)
    is_true = _is_often_right(is_right[order], asked)
    for source in np.unique(sources):
        is_own = sources[order] == source
        counts = is_own.cumsum()
        shares = (is_right[order] & is_own).cumsum() / np.maximum(counts, 1)
        is_enough = counts >= ENOUGH_ANSWERS
        is_kept |= is_enough
        is_true &= ~is_enough | (shares >= asked)
    # Equal margins are called by the same word.
    is_last = np.append(ordered[:-1] != ordered[1:], True)[: len(ordered)]
    places = np.flatnonzero(is_true & is_kept & is_last)
    return float(ordered[places[-1]]) if places.size else None


def _is_often_right(is_right: Flags, asked: float) -> Flags:
    """For each beginning of the rows, whether the share asked is right in it."""
    return np.asarray(is_right.cumsum() / np.arange(1, len(is_right) + 1) >= asked)


def _record(is_right: Flags, sources: NDArray[np.str_], groups: NDArray[np.str_]) -> WordRecord:
    tallies, bounds = {}, []
    for source in np.unique(sources):
        is_own = sources == source
        tallies[str(source)] = RightAnswers(int(is_right[is_own].sum()), int(is_own.sum()))
        if is_own.sum() >= ENOUGH_ANSWERS:
            bounds.append(bound_by_groups(is_right[is_own], groups[is_own])[0])
    return WordRecord(
        right=int(is_right.sum()),
        answers=len(is_right),
        low=min(bounds, default=bound_by_groups(is_right, groups)[0]),
        sources=tallies,
    )
