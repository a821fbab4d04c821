"""Whether operating points hold on another source of images than the one they were chosen on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Floats, OperatingPoint, choose_threshold, highest_threshold
from ml.intervals import bound_by_groups
from ml.transfer import Share, SourcePoint, Transfer

ENOUGH_GROUPS = 10
"""So many groups with a disease a source must have to say something of the recall there."""

Flags = NDArray[np.bool_]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Asked:
    """The limits that an operating point has to keep on every source; 0 asks for nothing."""

    recall: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Rows:
    """One disease on the validation images (N): scores, who has it, sources and groups."""

    scores: Floats
    is_positive: Flags
    sources: Names
    groups: Names

    def own_source(self, preferred: str) -> str:
        """Where the point is at home: the preferred source if the disease is there, else where
        most of it is.
        """
        names, counts = np.unique(self.sources[self.is_positive], return_counts=True)
        return preferred if preferred in names else str(names[counts.argmax()])

    def measure(self, threshold: float) -> dict[str, SourcePoint]:
        """What the threshold gives on each source."""
        is_given = self.scores >= threshold
        return {
            str(source): SourcePoint(
                recall=self._share(is_given, (self.sources == source) & self.is_positive),
                specificity=self._share(~is_given, (self.sources == source) & ~self.is_positive),
            )
            for source in np.unique(self.sources)
        }

    def _share(self, is_counted: Flags, among: Flags) -> Share | None:
        if not among.any():
            return None
        low, high = bound_by_groups(is_counted[among], self.groups[among])
        groups = len(np.unique(self.groups[among]))
        return Share(float(is_counted[among].mean()), low, high, int(among.sum()), groups)


def choose_transferring(
    rows: Rows, *, preferred: str, target_recall: float, asked: Asked, min_specificity: float = 0.0
) -> tuple[OperatingPoint, bool]:
    """A disease's operating point, and whether it holds on a second source.

    If one threshold can hold on all sources at once it is that; else the one chosen on all rows
    together, as without a second source.
    """
    pooled = choose_threshold(
        rows.scores,
        rows.is_positive,
        target_recall=target_recall,
        min_specificity=min_specificity,
    )
    own = rows.own_source(preferred)
    threshold = min([pooled.threshold, *_needed_elsewhere(rows, own, asked)])
    if not holds_elsewhere(rows.measure(threshold), own, asked):
        return pooled, False
    is_given = rows.scores >= threshold
    return OperatingPoint(
        threshold=threshold,
        recall=float(is_given[rows.is_positive].mean()),
        specificity=float((~is_given[~rows.is_positive]).mean()),
    ), True


def _needed_elsewhere(rows: Rows, own: str, asked: Asked) -> list[float]:
    """The highest thresholds that keep the recall asked, of each second source with enough."""
    needed = []
    for source in np.unique(rows.sources[rows.is_positive]):
        is_own = (rows.sources == source) & rows.is_positive
        groups = len(np.unique(rows.groups[is_own]))
        if source != own and groups >= ENOUGH_GROUPS:
            scores = rows.scores[is_own]
            needed.append(highest_threshold(scores, target_recall=asked.recall, groups=groups))
    return needed


def holds_elsewhere(points: Mapping[str, SourcePoint], own: str, asked: Asked) -> bool:
    """Whether a point keeps both limits: the recall on second sources, the specificity on all.

    At least one second source must have enough of the disease, and one be without it in part.
    """
    elsewhere = [point for source, point in points.items() if source != own]
    recalls = [
        point.recall
        for point in elsewhere
        if point.recall is not None and point.recall.groups >= ENOUGH_GROUPS
    ]
    specificities = [one.specificity for one in points.values() if one.specificity is not None]
    return (
        bool(recalls)
        and any(point.specificity is not None for point in elsewhere)
        and all(recall.low >= asked.recall for recall in recalls)
        and all(one.value >= asked.specificity for one in specificities)
    )


def record_transfer(points: Mapping[str, tuple[Rows, float, bool]], asked: Asked) -> Transfer:
    """What is written of the points: by disease its rows, its threshold, and whether it holds."""
    sources: dict[str, dict[str, SourcePoint]] = {}
    for disease, (rows, threshold, _) in points.items():
        for source, point in rows.measure(threshold).items():
            sources.setdefault(source, {})[disease] = point
    unproven = tuple(disease for disease, (*_, holds) in points.items() if not holds)
    return Transfer(
        sources=sources,
        asked_recall=asked.recall,
        asked_specificity=asked.specificity,
        unproven=unproven,
        is_own_source_only=bool(unproven),
    )
