"""Fits the blur, compression and exposure that a bundle refuses, on spoilt validation images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.images import read_frames
from ml.inputs import InputConfig
from ml.limits import QualityLimit, QualityLimits
from ml.predictor import Predictor
from ml.preprocessing import prepare_display, show_frame
from ml.quality import MEASURES, measure_quality
from ml.workshop.datasets import Example
from ml.workshop.evaluation.robustness import (
    ACCEPTED_PART,
    CHANGES,
    SEED,
    Change,
    Picture,
    predict_pictures,
    spoil_pictures,
)

# The changes that each measure is there to notice.
NOTICED: Mapping[str, tuple[str, ...]] = {
    "coarseness": ("levels",),
    "blocking": ("JPEG",),
    "blur": ("blur", "relative_blur", "resolution"),
    "noise": ("noise",),
    "glare": ("overexposure",),
    "darkness": ("underexposure",),
    "cut": ("crop",),
    "border": ("border",),
}
MAX_SPOILT = 300

Bools = NDArray[np.bool_]
Measures = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Trial:
    """Spoilt images at one strength: `is_safe` says which are right, or refused already."""

    change: str
    strength: float
    is_safe: Bools
    measures: Measures

    @property
    def name(self) -> str:
        """The change with its strength, as figures are called."""
        return f"{self.change}.{self.strength:g}"


@dataclass(frozen=True, slots=True)
class Sides:
    """Which of the images are normal and which diseased, and how many of each must be safe."""

    rows: tuple[Bools, ...]
    needed: tuple[float, ...]

    def is_harmed(self, is_safe: Bools) -> bool:
        """Whether too few of either side are safe."""
        pairs = zip(self.rows, self.needed, strict=True)
        return any(is_safe[rows].mean() < needed for rows, needed in pairs)

    def worst(self, is_safe: Bools) -> float:
        """The smaller share that is safe."""
        return float(min(is_safe[rows].mean() for rows in self.rows))


def fit_quality(
    predictor: Predictor, examples: Sequence[Example], *, max_refusal: float
) -> QualityLimits:
    """The limits of a bundle that has none yet, from the images of its validation split.

    A measure gets a limit if a change that it notices does harm: of the spoilt normal images, or
    of the diseased ones, fewer are right or refused than `ACCEPTED_PART` of those as they are. The
    limit lies half-way between the largest at which none of these changes does harm any more and
    the smallest that the unspoilt images allow: of those at most `max_refusal` may be refused by
    all measures together. Where the first is below the second no limit does both; the second is
    taken, and `unmet` names what still does harm.
    """
    manifest = predictor.bundle.manifest
    spec = manifest.input
    pictures = [show_frame(read_frames(one.path)[0], spec) for one in examples]
    unspoilt = _measure_all(pictures, spec)
    sample = _draw_sample(np.array([one.label == manifest.normal_label for one in examples]))
    chosen = [pictures[row] for row in sample]
    targets = np.array([manifest.labels.index(examples[row].label) for row in sample])
    sides = _divide(predictor, chosen, targets)
    trials = list(_try_changes(predictor, chosen, targets, spec))
    harmful = [trial for trial in trials if sides.is_harmed(trial.is_safe)]
    limits = choose_limits(harmful, unspoilt, sides, max_refused=int(max_refusal * len(pictures)))
    return QualityLimits(
        limits=limits,
        validation_refusal=float(_refuse(unspoilt, limits).mean()),
        target_refusal=max_refusal,
        unmet={
            trial.name: sides.worst(is_safe)
            for trial in harmful
            if sides.is_harmed(is_safe := trial.is_safe | _refuse(trial.measures, limits))
        },
    )


def _draw_sample(is_normal: Bools) -> NDArray[np.intp]:
    """Rows of at most `MAX_SPOILT` images, half of them normal where there are so many of both."""
    order = np.random.default_rng(SEED).permutation(len(is_normal))
    normal, diseased = order[is_normal[order]], order[~is_normal[order]]
    half = MAX_SPOILT // 2
    count = max(half, MAX_SPOILT - len(diseased))
    taken = normal[:count]
    return np.sort(np.concatenate([taken, diseased[: MAX_SPOILT - len(taken)]]))


def _measure_all(pictures: Sequence[Picture], spec: InputConfig) -> Measures:
    found = [measure_quality(one, prepare_display(one, spec)) for one in pictures]
    return {name: np.array([one[name] for one in found]) for name in MEASURES}


def _divide(predictor: Predictor, pictures: list[Picture], targets: NDArray[np.int64]) -> Sides:
    """Both sides with the share of each that must stay safe; a side without images is left out."""
    manifest = predictor.bundle.manifest
    given, _ = predict_pictures(predictor, pictures)
    is_normal = targets == manifest.labels.index(manifest.normal_label)
    rows = tuple(one for one in (is_normal, ~is_normal) if one.any())
    is_right = given == targets
    return Sides(rows, tuple(ACCEPTED_PART * float(is_right[one].mean()) for one in rows))


def _try_changes(
    predictor: Predictor, pictures: list[Picture], targets: NDArray[np.int64], spec: InputConfig
) -> Iterator[Trial]:
    for change, strength in _list_runs():
        spoilt = spoil_pictures(pictures, change, strength)
        given, is_refused = predict_pictures(predictor, spoilt)
        measures = _measure_all(spoilt, spec)
        yield Trial(change.name, strength, (given == targets) | is_refused, measures)


def _list_runs() -> Iterator[tuple[Change, float]]:
    noticed = {name for names in NOTICED.values() for name in names}
    for change in CHANGES:
        if change.name in noticed:
            yield from ((change, strength) for strength in change.strengths)


def choose_limits(
    harmful: Sequence[Trial], unspoilt: Measures, sides: Sides, *, max_refused: int
) -> dict[str, QualityLimit]:
    """A limit for each measure that notices a harmful change; see `fit_quality`."""
    wanted = {
        name: min(_find_largest(trial, name, sides) for trial in harmful if trial.change in changes)
        for name, changes in NOTICED.items()
        if any(trial.change in changes for trial in harmful)
    }
    for above in range(max_refused, -1, -1):
        limits = {name: _place(unspoilt[name], most, above) for name, most in wanted.items()}
        if above == 0 or _refuse(unspoilt, limits).sum() <= max_refused:
            break
    return limits


def _place(values: NDArray[np.float64], most: float, above: int) -> QualityLimit:
    """Half-way from the value that so many of the unspoilt images exceed to the one wanted."""
    least = float(np.sort(values)[max(-above - 1, -len(values))])
    limit = (least + most) / 2 if most > least else least
    return QualityLimit(limit, float((values > limit).mean()))


def _find_largest(trial: Trial, measure: str, sides: Sides) -> float:
    """The largest limit of a measure at which the trial does no harm."""
    values = trial.measures[measure]
    candidates = np.unique(values)[::-1]
    for limit in candidates:
        if not sides.is_harmed(trial.is_safe | (values > limit)):
            return float(limit)
    return float(np.nextafter(candidates[-1], -np.inf))


def _refuse(measures: Measures, limits: Mapping[str, QualityLimit]) -> Bools:
    """Which images any limit refuses."""
    count = len(measures[MEASURES[0]])
    above = [measures[name] > one.limit for name, one in limits.items()]
    return np.logical_or.reduce(above) if above else np.zeros(count, bool)
