"""From the predictions of a study's images, series by series, to its one answer or none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.abstention import Abstention
from ml.aggregation import StudyPrediction, aggregate, operating_points
from ml.confidence import Confidence
from ml.manifest import Manifest
from ml.series import (
    NONE,
    Scores,
    SeriesRule,
    Tally,
    count_agreeing,
    score_series,
    to_log_odds,
)

SERIES_NOT_VALIDATED = "series_not_validated"
# Modalities whose images are slices of one body, and not views or lesions of their own.
SLICED_MODALITIES = frozenset({"CT", "MR", "PT", "NM"})
# Part of a series that has to be answered before anything is said of the whole.
MIN_ANSWERED = 0.5
# Positions in mm that are the same to so many decimals are one slice.
POSITION_DECIMALS = 2

UNEARNED = Confidence(margins={}, asked={}, records={})
"""Words were earned on single slices: of a series none is said but the lowest."""

Row = Mapping[str, float] | None
"""An image's calibrated probabilities by label; None where it was left out."""


def rule_of(manifest: Manifest) -> SeriesRule | None:
    """The manifest's rule for series, or that which holds where it is silent.

    A task of slices whose manifest has none was only ever tested on single slices. Other tasks'
    images are views or lesions, each of its own: they have no rule.
    """
    if manifest.series is not None:
        return manifest.series
    is_sliced = SLICED_MODALITIES & {name.strip().upper() for name in manifest.scope.modalities}
    return SeriesRule(kind=NONE) if is_sliced else None


def check_series(manifest: Manifest, series: Sequence[Sequence[Row]]) -> Abstention | None:
    """Why nothing can be said of images together; None when something can.

    `series` are the images of each series in order of position, those left out among them: of a
    series whose slices were all but refused, the last isn't a single slice.
    """
    rule = rule_of(manifest)
    images = sum(len(one) for one in series)
    if rule is None or images <= 1:
        return None
    answered = sum(row is not None for one in series for row in one)
    if rule.kind == NONE:
        reason = (
            f"The {manifest.title} model was tested on single slices that somebody had picked, "
            f"never on whole series; this study has {images}. Send the slice in question alone."
        )
    elif answered < MIN_ANSWERED * images:
        reason = f"Only {answered} of {images} slices could be read; half of a series is needed."
    elif answered > rule.most_slices:
        reason = (
            f"The {manifest.title} model was tested on series of up to {rule.longest} slices; "
            f"this study has {answered}."
        )
    else:
        return None
    return Abstention(SERIES_NOT_VALIDATED, reason)


def arrange(positions: Sequence[float | None]) -> list[list[int]]:
    """The places of a series' images in order of position, one list for each time a slice is there.

    Echoes and phases show a slice again: two images of one slice are no neighbours. Where a
    position is missing, the images keep the order that they come in.
    """
    known = [one for one in positions if one is not None]
    if len(known) < len(positions) or not known:
        return [list(range(len(positions)))] if positions else []
    passes: list[list[int]] = []
    seen: Counter[float] = Counter()
    for place in sorted(range(len(known)), key=lambda place: known[place]):
        where = round(known[place], POSITION_DECIMALS)
        if seen[where] == len(passes):
            passes.append([])
        passes[seen[where]].append(place)
        seen[where] += 1
    return passes


def settle_hints(reasons: Sequence[Abstention | None]) -> list[Abstention | None]:
    """The abstentions of one series' images, with what is likely wrong only where it fits them all.

    A series is turned or a negative as a whole: what is said of less than half of it is a slip.
    """
    said = Counter(one.hint for one in reasons if one is not None and one.hint)
    fitting = {hint for hint, count in said.items() if 2 * count > len(reasons)}
    return [one if one is None or one.hint in fitting else one.without_hint() for one in reasons]


def conclude_images(manifest: Manifest, rows: Sequence[Mapping[str, float]]) -> StudyPrediction:
    """The answer to answered images (their probabilities by label), by the bundle's aggregation."""
    return aggregate(
        manifest.aggregation,
        rows,
        manifest.labels,
        manifest.normal_label,
        thresholds=manifest.operating.thresholds,
        bands=manifest.operating.bands,
        conformal=manifest.conformal,
        confidence=manifest.confidence,
    )


def conclude_study(manifest: Manifest, series: Sequence[Sequence[Row]]) -> StudyPrediction:
    """The answer to all images together; `deciding_frame` counts the answered ones, from 0.

    By the rule for series where there is one and more than one image; else by the manifest's
    aggregation. Whether the answer may be given, `check_series` says. Raises ValueError where no
    image was answered.
    """
    rows = [row for one in series for row in one if row is not None]
    rule = rule_of(manifest)
    if rule is None or not rule.lines or sum(len(one) for one in series) <= 1:
        found = conclude_images(manifest, rows)
        return replace(found, tally=_count_images(manifest, series, found))
    return _conclude_series(manifest, rule, series, len(rows))


def _conclude_series(
    manifest: Manifest, rule: SeriesRule, series: Sequence[Sequence[Row]], answered: int
) -> StudyPrediction:
    scores = {label: [_column(one, label) for one in series] for label in rule.lines}
    study = score_series(rule, scores, answered, manifest.normal_label)
    found = aggregate(
        "mean",
        [{label: study.get(label, 0.0) for label in manifest.labels}],
        manifest.labels,
        manifest.normal_label,
        thresholds=rule.thresholds,
        confidence=manifest.confidence and UNEARNED,
    )
    said = found.label or found.suspected_label or manifest.normal_label
    reached = {
        label: [to_log_odds(one) >= rule.lines[label].point(answered) for one in scores[label]]
        for label in rule.lines
    }
    agreeing = reached.get(said) or _none_reached(reached, series)
    total, neighbouring = count_agreeing(agreeing)
    return replace(
        found,
        deciding_frame=_find_deciding(series, said, agreeing, rule.neighbours),
        tally=Tally(
            label=said,
            images=sum(len(one) for one in series),
            answered=answered,
            agreeing=total,
            neighbouring=neighbouring,
            needed=rule.neighbours,
            operating_points=rule.thresholds,
        ),
    )


def _column(rows: Sequence[Row], label: str) -> Scores:
    """A label's probabilities in a series, not-a-number where an image was left out."""
    return np.array([np.nan if row is None else row[label] for row in rows], np.float64)


def _none_reached(
    reached: Mapping[str, Sequence[NDArray[np.bool_]]], series: Sequence[Sequence[Row]]
) -> list[NDArray[np.bool_]]:
    """The answered slices in which no disease reached its point."""
    clear = []
    for place, rows in enumerate(series):
        is_clear = np.array([row is not None for row in rows], bool)
        for columns in reached.values():
            is_clear &= ~columns[place]
        clear.append(is_clear)
    return clear


def _find_deciding(
    series: Sequence[Sequence[Row]],
    label: str,
    agreeing: Sequence[NDArray[np.bool_]],
    neighbours: int,
) -> int:
    """The answered image, counted from 0, to show first: the label's most probable one.

    Of those that stand among enough neighbours that agree, where any does.
    """
    kept = [_in_long_runs(one, neighbours) for one in agreeing]
    is_open = not any(one.any() for one in kept)
    best, best_score, count = 0, -1.0, 0
    for rows, is_kept in zip(series, kept, strict=True):
        for place, row in enumerate(rows):
            if row is None:
                continue
            if (is_open or is_kept[place]) and row[label] > best_score:
                best, best_score = count, row[label]
            count += 1
    return best


def _in_long_runs(agreeing: NDArray[np.bool_], neighbours: int) -> NDArray[np.bool_]:
    """Which agreeing slices stand in a row of enough of them."""
    kept = np.zeros(len(agreeing), bool)
    for start in range(len(agreeing) - neighbours + 1):
        if agreeing[start : start + neighbours].all():
            kept[start : start + neighbours] = True
    return kept


def _count_images(
    manifest: Manifest, series: Sequence[Sequence[Row]], found: StudyPrediction
) -> Tally | None:
    """How many images say by themselves what the study's answer says; None for a single one."""
    images = sum(len(one) for one in series)
    if images <= 1:
        return None
    said = found.label or found.suspected_label or manifest.normal_label
    points = operating_points(manifest.labels, manifest.normal_label, manifest.operating.thresholds)
    reached = {
        label: [_column(one, label) >= point for one in series] for label, point in points.items()
    }
    agreeing = reached.get(said) or _none_reached(reached, series)
    total, neighbouring = count_agreeing(agreeing)
    return Tally(
        label=said,
        images=images,
        answered=sum(row is not None for one in series for row in one),
        agreeing=total,
        neighbouring=neighbouring,
        needed=0,
    )
