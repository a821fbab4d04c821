"""What an evaluation found, as it is handed on and written to `evaluation.json`."""

from dataclasses import dataclass, field

from ml.evaluation.operating import OperatingResult
from ml.evaluation.robustness import RobustnessRow
from ml.evaluation.subgroups import Subgroup
from ml.manifest import Metric


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found.

    `baseline` is by thumbnails, `frozen_baseline` by a frozen backbone (empty if not run).
    `by_source` counts the labels given by source and label of the set, `confusion` has rows by
    true label, at the thresholds and for the most probable label. `seeds` are figures of other
    trainings of the same network, by name.
    """

    split: str
    images: int
    groups: int
    metrics: dict[str, Metric]
    baseline: dict[str, float]
    by_source: dict[str, dict[str, int]]
    refusals: dict[str, int]
    frozen_baseline: dict[str, float] = field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    operating: dict[str, OperatingResult] = field(default_factory=dict)
    subgroups: list[Subgroup] = field(default_factory=list)
    robustness: list[RobustnessRow] = field(default_factory=list)
    seeds: dict[str, list[float]] = field(default_factory=dict)
