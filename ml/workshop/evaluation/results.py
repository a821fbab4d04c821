"""What an evaluation found, as it is handed on and written to `evaluation.json`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ml.manifest import ExternalFigures, MapFigures, Metric
from ml.workshop.evaluation.exact import make_share
from ml.workshop.evaluation.operating import OperatingResult
from ml.workshop.evaluation.robustness import RobustnessRow, list_robustness_figures
from ml.workshop.evaluation.subgroups import Subgroup
from ml.workshop.figure_names import OPENNESS
from ml.workshop.rejects.scoring import Share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found.

    `baseline` is by thumbnails, `frozen_baseline` by a frozen backbone (empty if not run).
    `by_source` counts the labels given by source and label of the set, `confusion` has rows by
    true label, at the thresholds and for the most probable label. `seeds` are figures of other
    trainings of the same network, by name. `series` are figures of whole series.
    `refused_by_label` is of each label's images, `openness` what became of the conformal sets, by
    name. `external` is what was said to images of other places, by source; `external_absent` names
    tables of such that weren't at hand. `maps` tells whether heat maps can be believed.
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
    series: dict[str, Metric] = field(default_factory=dict)
    refused_by_label: dict[str, Share] = field(default_factory=dict)
    openness: dict[str, float] = field(default_factory=dict)
    external: dict[str, ExternalFigures] = field(default_factory=dict)
    external_absent: list[str] = field(default_factory=list)
    maps: MapFigures | None = None

    def list_figures(self, labels: Sequence[str]) -> dict[str, Metric]:
        """What a gate can name beside the metrics: of spoilt images, and of what stays open."""
        rows = self.confusion["argmax"] if self.openness else []
        counts = dict(zip(labels, map(sum, rows), strict=False))
        named = {f"coverage.{label}": count for label, count in counts.items()}
        opened = {
            f"{OPENNESS}{name}": make_share(round(value * named[name]), named[name])
            for name, value in self.openness.items()
            if name in named
        }
        return opened | list_robustness_figures(self.robustness)
