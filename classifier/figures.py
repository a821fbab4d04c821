"""What was measured of a model, in the order in which people read it."""

import json
from dataclasses import dataclass, field
from typing import Any

from classifier.inference import read_bundle_file
from classifier.models import ModelVersion

EVALUATION = "evaluation.json"
WHOLE = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_auc": "ROC-AUC, mean of the labels",
    "calibration_error": "Calibration error",
    "refused": "Share not answered",
}
"""The figures of the whole test split, in the order in which they are read."""
OF_A_LABEL = {
    "recall": "Recall",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "auc": "ROC-AUC",
}
OF_A_SOURCE = {
    "auc": "ROC-AUC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
OF_A_PLACE = {
    "auc": "ROC-AUC, any disease",
    "sensitivity": "Sensitivity, any disease",
    "specificity": "Specificity",
    "accuracy": "Accuracy of the labels given",
    "missed": "Diseased said to be without",
    "missed_high": "… with high confidence",
    "refused": "Share not answered",
}
"""The figures on images of another place, in the order in which they are read."""
CHART_WIDTH = 200

Metric = dict[str, Any]


@dataclass(frozen=True)
class LabelFigures:
    """A label's figures in the order of OF_A_LABEL, None where one wasn't measured.

    `chart` is where its recall lies, in units of the chart.
    """

    label: str
    metrics: list[Metric | None]
    chart: dict[str, float] | None


@dataclass(frozen=True)
class PlaceFigures:
    """What a model said to the images of another place.

    `rows` are name, how much worse it is there (None where it wasn't compared), there, and own.
    """

    source: str
    images: int
    groups: int
    is_learned: bool
    rows: list[tuple[str, Metric | None, Metric, Metric | None]]


@dataclass(frozen=True)
class Figures:
    """The tables of a model's page."""

    whole: list[tuple[str, Metric]] = field(default_factory=list)
    labels: list[LabelFigures] = field(default_factory=list)
    sources: list[tuple[str, Metric]] = field(default_factory=list)
    places: list[PlaceFigures] = field(default_factory=list)
    confusion: list[tuple[str, list[int]]] = field(default_factory=list)


def figures_of(version: ModelVersion) -> Figures:
    """The figures at the operating points; those of the most probable label stand in the card."""
    metrics = version.manifest["metrics"]
    return Figures(
        whole=[(words, metrics[name]) for name, words in WHOLE.items() if name in metrics],
        labels=[_label_figures(version, label, metrics) for label in version.labels],
        sources=list(_source_figures(version, metrics)),
        places=_place_figures(version),
        confusion=_confusion(version),
    )


def _label_figures(version: ModelVersion, label: str, metrics: dict[str, Metric]) -> LabelFigures:
    found = [metrics.get(f"{name}.{label}") for name in OF_A_LABEL]
    recall = found[0]
    return LabelFigures(version.display_of(label), found, _chart(recall) if recall else None)


def _chart(metric: Metric) -> dict[str, float] | None:
    places = {name: metric.get(name) for name in ("value", "low", "high")}
    if None in places.values():
        return None
    return {name: round(float(place or 0) * CHART_WIDTH, 1) for name, place in places.items()}


def _source_figures(version: ModelVersion, metrics: dict[str, Metric]) -> Any:
    """Figures by source of images: `guangzhou.pneumonia.auc` is "guangzhou · Pneumonia: …"."""
    for name, metric in metrics.items():
        source, _, rest = name.partition(".")
        label, _, figure = rest.rpartition(".")
        if label in version.labels and figure in OF_A_SOURCE:
            yield f"{source} · {version.display_of(label)}: {OF_A_SOURCE[figure]}", metric


def _place_figures(version: ModelVersion) -> list[PlaceFigures]:
    """By other place; none for a model that was made before they were scored."""
    return [
        PlaceFigures(
            source=source,
            images=found["images"],
            groups=found["groups"],
            is_learned=found["is_learned"],
            rows=[
                (words, found["drops"].get(name), found["metrics"][name], found["own"].get(name))
                for name, words in OF_A_PLACE.items()
                if name in found["metrics"]
            ],
        )
        for source, found in version.manifest.get("external", {}).items()
    ]


def _confusion(version: ModelVersion) -> list[tuple[str, list[int]]]:
    """Rows of true labels, columns of given ones; nothing where the bundle's file is another."""
    content = read_bundle_file(version, EVALUATION)
    if content is None:
        return []
    rows = json.loads(content)["confusion"]["at_thresholds"]
    names = [version.display_of(label) for label in version.labels]
    return list(zip(names, rows, strict=True))
