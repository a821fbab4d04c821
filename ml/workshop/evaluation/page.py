"""The pages to read: fills the templates with figures, charts and pictures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ml.manifest import Manifest, Metric
from ml.predictor import Predictor
from ml.workshop.evaluation import charts
from ml.workshop.evaluation.beside import FROZEN, THUMBNAILS, Baselines
from ml.workshop.evaluation.checklist import ReportFacts, fill_checklist
from ml.workshop.evaluation.gallery import (
    KINDS,
    choose_mistakes,
    find_mistakes,
    list_mistakes,
    make_gallery,
)
from ml.workshop.evaluation.metrics import CALIBRATION_BINS
from ml.workshop.evaluation.operating import PREVALENCES
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.evaluation.scoring import Answers
from ml.workshop.evaluation.subgroups import MIN_IMAGES, Subgroup

TEMPLATES = Path(__file__).parent / "templates"
# Figures by label: heading, name before the label, name of the mean over labels.
COLUMNS = (
    ("Recall (sensitivity)", "recall", "balanced_accuracy"),
    ("Specificity", "specificity", "macro_specificity"),
    ("Precision (PPV)", "precision", "macro_precision"),
    ("F1", "f1", "macro_f1"),
    ("AUC", "auc", "macro_auc"),
    ("Average precision", "average_precision", "macro_average_precision"),
)
AREAS = ("auc", "average_precision")
FIGURE_NAMES = {
    "disease_recall": "Disease recall",
    "normal_recall": "Specificity",
    "disease_auc": "AUC of any disease",
}
SPLIT_NAMES = {"val": "validation", "train": "training"}
SEX_AND_AGE = ("sex", "age")
# Sections with drawings, and a drawing in its frame.
CHARTED = ("curves", "calibration", "decision", "subgroups", "robustness")
DRAWN = r"<figure>(<svg.*?</svg>)</figure>"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A line of the table by label."""

    name: str
    images: int
    figures: list[Metric | None]


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the head of the report."""

    name: str
    metric: Metric
    note: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """The drawings of a report by section (SVG), and its gallery of wrong answers, as HTML."""

    charts: dict[str, list[Markup]]
    gallery: list[Markup]


@dataclass(frozen=True, slots=True)
class BesideRow:
    """A figure of the network with both baselines'; None where one wasn't run."""

    name: str
    thumbnails: float | None
    frozen: float | None
    own: float


def draw_pictures(evaluation: Evaluation, predictor: Predictor, answers: Answers) -> Pictures:
    """The charts, and the wrong answers with their maps: only these need images and the network."""
    manifest = predictor.bundle.manifest
    chosen = choose_mistakes(find_mistakes(answers, manifest))
    exhibits = make_gallery(predictor, answers, chosen)
    return Pictures(
        charts=_draw_charts(evaluation, manifest, answers),
        gallery=[as_markup(render_template("_exhibit.html", one=one)) for one in exhibits],
    )


def read_pictures(page: str) -> Pictures:
    """The pictures of a page that `render_page` wrote."""
    sections = re.split(r'<h2 id="(\w+)">', page)
    parts = dict(zip(sections[1::2], sections[2::2], strict=True))
    charts = {
        name: [as_markup(one) for one in re.findall(DRAWN, parts.get(name, ""), re.DOTALL)]
        for name in CHARTED
    }
    shown = re.findall(r"<figure>.*?</figure>", parts.get("gallery", ""), re.DOTALL)
    return Pictures(charts, [as_markup(one) for one in shown])


def as_markup(html: str) -> Markup:
    """What a template of ours or the drawing library has made, the texts escaped there."""
    return Markup(html)  # noqa: S704 - from our own templates and charts alone


def render_page(
    evaluation: Evaluation,
    manifest: Manifest,
    answers: Answers,
    pictures: Pictures,
    baselines: Baselines,
    *,
    digest: str = "",
) -> str:
    """The report as one HTML page that needs no other file; of `answers` it counts the labels."""
    mistakes = find_mistakes(answers, manifest)
    facts = {part.attribute for part in evaluation.subgroups}
    return render_template(
        "evaluation.html",
        evaluation=evaluation,
        manifest=manifest,
        split=SPLIT_NAMES.get(evaluation.split, evaluation.split),
        beside=_list_beside(evaluation.metrics, baselines),
        digest=digest,
        tiles=_choose_tiles(evaluation.metrics),
        rows=_list_labels(evaluation, manifest, prefix=""),
        argmax_rows=_list_labels(evaluation, manifest, prefix="argmax_"),
        columns=[heading for heading, _, _ in COLUMNS],
        counts=_count_outcomes(answers, manifest),
        charts=pictures.charts,
        prevalences=[f"{value:g}" for value in PREVALENCES],
        figure_names=_name_figures(evaluation.subgroups),
        min_images=MIN_IMAGES,
        bins=CALIBRATION_BINS,
        mistakes={kind: sum(one.kind == kind for one in mistakes) for kind in KINDS},
        listed=list_mistakes(answers, manifest, mistakes),
        gallery=pictures.gallery,
        checklist=fill_checklist(
            ReportFacts(
                has_demographics=any(name in facts for name in SEX_AND_AGE),
                has_robustness=bool(evaluation.robustness),
                has_seeds=bool(evaluation.seeds),
                is_test_split=evaluation.split == "test",
                averaged=manifest.training.averaged,
            )
        ),
    )


def render_template(name: str, **context: Any) -> str:
    """A template of this package, filled; a name it asks for and doesn't get is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": format_number, "percent": format_percent, "gap": format_gap}
    environment.filters |= {"spread": _measure_spread, "figure": name_figure}
    return environment.get_template(name).render(**context)


def format_number(value: float | None) -> str:
    """Three decimals, or a dash for nothing."""
    return "–" if value is None or np.isnan(value) else f"{value:.3f}"


def format_percent(value: float) -> str:
    """A share in percent; a second decimal where one would round it to 0 or 100."""
    is_extreme = 0 < value < 0.001 or 0.999 < value < 1
    return f"{100 * value:.2f}\u00a0%" if is_extreme else f"{100 * value:.1f}\u00a0%"


def format_gap(value: float) -> str:
    """A difference with its sign."""
    return f"{value:+.3f}".replace("-", "\u2212")


def name_figure(name: str) -> str:
    """A figure's name in words: `recall.normal` becomes `recall of normal`."""
    figure, _, label = name.partition(".")
    words = figure.replace("_", " ").replace("auc", "AUC")
    return f"{words} of {label}" if label else words


def _measure_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample) of a figure over trainings."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _choose_tiles(metrics: Mapping[str, Metric]) -> list[Tile]:
    """The headline's figures where there are any, and those of all labels."""
    wanted = [
        ("accuracy", "Accuracy", "at the operating thresholds"),
        ("balanced_accuracy", "Balanced accuracy", "mean recall of the labels"),
        ("macro_auc", "Macro AUC", "mean over the labels"),
        ("calibration_error", "Calibration error", "0 is perfect"),
        ("refused", "Refused", "share not answered in use"),
    ]
    for name in metrics:
        question, _, figure = name.rpartition(".")
        if "." in question and figure in ("auc", "sensitivity", "specificity"):
            heading = figure.upper() if figure == "auc" else figure.capitalize()
            wanted.append((name, heading, " · ".join(question.split("."))))
    return [Tile(heading, metrics[name], note) for name, heading, note in wanted if name in metrics]


def _list_labels(evaluation: Evaluation, manifest: Manifest, *, prefix: str) -> list[LabelRow]:
    """One line for each label and one for their mean; areas don't depend on a threshold."""
    metrics = evaluation.metrics
    counts = [sum(row) for row in evaluation.confusion["argmax"]]

    def find(figure: str, name: str) -> Metric | None:
        return metrics.get(name if figure in AREAS else f"{prefix}{name}")

    rows = [
        LabelRow(label, count, [find(figure, f"{figure}.{label}") for _, figure, _ in COLUMNS])
        for label, count in zip(manifest.labels, counts, strict=True)
    ]
    means = [find(figure, mean) for _, figure, mean in COLUMNS]
    return [*rows, LabelRow("mean of the labels", evaluation.images, means)]


def _list_beside(metrics: Mapping[str, Metric], baselines: Baselines) -> list[BesideRow]:
    """The figures that a baseline has too, in the order of the network's."""
    thumbnails, frozen = (baselines.get(kind, {}) for kind in (THUMBNAILS, FROZEN))
    return [
        BesideRow(name, thumbnails.get(name), frozen.get(name), metric.value)
        for name, metric in metrics.items()
        if name in thumbnails or name in frozen
    ]


def _count_outcomes(answers: Answers, manifest: Manifest) -> dict[str, int]:
    """How many images were right, missed and so on, for the sentences of the summary."""
    is_right = answers.given == answers.targets
    counts = {"right": int(is_right.sum()), "refused": int(answers.is_refused.sum())}
    if manifest.normal_label in manifest.labels:
        normal = manifest.labels.index(manifest.normal_label)
        is_diseased, is_cleared = answers.targets != normal, answers.given == normal
        counts |= {
            "diseased": int(is_diseased.sum()),
            "normal": int((~is_diseased).sum()),
            "missed": int((is_diseased & is_cleared).sum()),
            "missed_unrefused": int((is_diseased & is_cleared & ~answers.is_refused).sum()),
            "confused": int((is_diseased & ~is_cleared & ~is_right).sum()),
            "alarms": int((~is_diseased & ~is_cleared).sum()),
        }
    return counts


def _name_figures(subgroups: Sequence[Subgroup]) -> dict[str, str]:
    """Heading of each subgroup figure, in the order they are shown."""
    names = list(subgroups[0].figures) if subgroups else []
    return {name: FIGURE_NAMES.get(name) or _capitalize(name_figure(name)) for name in names}


def _capitalize(words: str) -> str:
    return words[:1].upper() + words[1:]


def _draw_charts(
    evaluation: Evaluation, manifest: Manifest, answers: Answers
) -> dict[str, list[Markup]]:
    """The SVG elements by section."""
    shown, targets, labels = answers.probabilities, answers.targets, manifest.labels
    thresholds = manifest.operating.thresholds
    drawn: dict[str, list[str]] = {
        "curves": [
            charts.draw_roc(shown, targets, labels, thresholds),
            charts.draw_precision_recall(shown, targets, labels),
        ],
        "calibration": [
            charts.draw_reliability(shown, targets, labels),
            charts.draw_confidence(shown, targets),
        ],
        "decision": [
            charts.draw_decision_curve(shown, targets, row, label)
            for row, label in enumerate(labels)
            if label in thresholds and 0 < (targets == row).sum() < len(targets)
        ],
        "subgroups": _draw_forest(evaluation.subgroups),
        "robustness": (
            [charts.draw_robustness(evaluation.robustness)] if evaluation.robustness else []
        ),
    }
    return {name: [as_markup(one) for one in found] for name, found in drawn.items()}


def _draw_forest(subgroups: Sequence[Subgroup]) -> list[str]:
    """One drawing of the figures that were judged in at least two parts, if there are any."""
    headings = {
        name: heading
        for name, heading in _name_figures(subgroups).items()
        if sum(part.figures[name].value is not None for part in subgroups) > 1
    }
    return [charts.draw_subgroups(subgroups, headings)] if headings else []
