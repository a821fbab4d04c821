"""Which labels can't be ruled out, with a stated coverage for each, and when health may be said."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.intervals import wilson_low
from ml.limits import Clearance, Conformal

Scores = NDArray[np.float64]


def list_open(
    conformal: Conformal, probabilities: Mapping[str, float], normal_label: str
) -> list[str]:
    """The diseases that can't be ruled out, the most probable first."""
    found = [
        label
        for label, lowest in conformal.lowest.items()
        if label != normal_label and probabilities[label] >= lowest
    ]
    return sorted(found, key=lambda label: -probabilities[label])


def is_cleared(conformal: Conformal, normal_probability: float) -> bool:
    """Whether the normal label is probable enough to be given."""
    clearance = conformal.clearance
    if clearance is None:
        return True
    return clearance.lowest is not None and normal_probability >= clearance.lowest


def fit_conformal(
    scores: Scores,
    targets: NDArray[np.integer],
    sources: Sequence[str],
    labels: Sequence[str],
    normal_label: str,
    *,
    is_called_normal: NDArray[np.bool_],
    coverage: float,
    prevalence: float = 0.0,
    min_npv: float = 0.0,
) -> Conformal:
    """From the probabilities (N x K), label indices and sources (N) of validation images.

    Class-conditional split conformal prediction (Vovk 2012): a label is ruled out where it is less
    probable than it is on all but `1 - coverage` of its own images. Of a label with too few images
    for that coverage nothing is ruled out. Without a coverage no label is ruled out or open.
    `is_called_normal` are the images (N) that thresholds and bands call normal.
    """
    lowest: dict[str, float] = {}
    covered: dict[str, float] = {}
    for index, label in enumerate(labels):
        own = scores[targets == index, index]
        if label == normal_label or not coverage:
            continue
        lowest[label] = _find_lowest(own, coverage)
        covered[label] = float((own >= lowest[label]).mean()) if own.size else 0.0
    clearance = None
    if min_npv:
        normal = labels.index(normal_label)
        is_open = ~is_called_normal
        for label, limit in lowest.items():
            is_open |= scores[:, labels.index(label)] >= limit
        shown = np.where(is_open, -1.0, scores[:, normal])
        clearance = _fit_clearance(
            shown, targets == normal, sources, prevalence=prevalence, min_npv=min_npv
        )
    return Conformal(coverage, lowest, covered, clearance)


def _find_lowest(own: Scores, coverage: float) -> float:
    """The k-th smallest, k the floor of (1 - coverage) (n + 1); rounded down, 0 without any."""
    place = int(np.floor((1 - coverage) * (len(own) + 1) + 1e-9))
    if place < 1:
        return 0.0
    return float(np.floor(np.sort(own)[place - 1] * 1e6) / 1e6)


def _fit_clearance(
    shown: Scores,
    is_normal: NDArray[np.bool_],
    sources: Sequence[str],
    *,
    prevalence: float,
    min_npv: float,
) -> Clearance:
    """The lowest limit whose NPV is high enough on every source that has diseased images."""
    names = sorted({name for name, row in zip(sources, is_normal, strict=True) if not row})
    of_source = {name: np.array([one == name for one in sources]) for name in names}
    for limit in np.unique(np.floor(shown[shown >= 0] * 1e6) / 1e6):
        is_given = shown >= limit
        npv = {
            name: _weigh_npv(is_given, is_normal, rows, prevalence)
            for name, rows in of_source.items()
        }
        if npv and min(npv.values()) >= min_npv:
            cleared = float(is_given[is_normal].mean())
            return Clearance(float(limit), prevalence, min_npv, npv, cleared)
    return Clearance(None, prevalence, min_npv, {}, 0.0)


def _weigh_npv(
    is_given: NDArray[np.bool_],
    is_normal: NDArray[np.bool_],
    of_source: NDArray[np.bool_],
    prevalence: float,
) -> float:
    """NPV by Bayes' rule, the lower 95 % bounds of the source's recall and of the normals' share.

    A source without normal images is held against those of all sources.
    """
    normal, diseased = is_given[of_source & is_normal], is_given[of_source & ~is_normal]
    if not normal.size:
        normal = is_given[is_normal]
    if not normal.any():
        return 0.0
    recall = wilson_low(int((~diseased).sum()), len(diseased))
    specificity = wilson_low(int(normal.sum()), len(normal))
    healthy, missed = specificity * (1 - prevalence), (1 - recall) * prevalence
    return healthy / (healthy + missed)
