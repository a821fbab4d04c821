"""The charts of the report as SVG whose ink follows the page's theme."""

import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml.workshop.evaluation.operating import DECISION_THRESHOLDS, net_benefit, net_benefit_of_all
from ml.workshop.evaluation.plots import COLOURS
from ml.workshop.evaluation.robustness import RobustnessRow
from ml.workshop.evaluation.subgroups import Subgroup

Scores = NDArray[np.float64]
Ints = NDArray[np.int64]

# Stand-ins that are replaced by the page's own colours in the finished drawing.
INK, FAINT, LINE = "#010203", "#040506", "#070809"
THEME = {INK: "currentColor", FAINT: "var(--faint)", LINE: "var(--line)"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "evaluation",
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "path.simplify_threshold": 0.3,
}
# Panels side by side that stay legible.
PANELS = 4
SQUARE = (4.0, 3.7)
RELIABILITY_BINS = 10
MIN_IN_BIN = 5


def colour_of(row: int) -> str:
    """The label's colour; the palette's black becomes the page's ink."""
    colour = COLOURS[row % len(COLOURS)]
    return INK if colour == "#000000" else colour


def draw(paint: Callable[[Any], None], *, name: str, title: str, **layout: Any) -> str:
    """The SVG element of what `paint` puts on the axes of `plt.subplots(**layout)`.

    `name` is unique on the page, and `title` is read out to those who can't see it. The same data
    gives the same bytes.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = plt.subplots(layout="constrained", **layout)
        paint(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    return _fit_page(buffer.getvalue(), name=name, title=title)


def _fit_page(svg: str, *, name: str, title: str) -> str:
    """Without prologue, fixed size and metadata; with the page's colours and own element ids."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    head = f'<svg class="chart" role="img" aria-label="{html.escape(title)}"'
    svg = re.sub(r'<svg(?= )(?: (?:width|height)="[^"]*")*', head, svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg, count=1)
    for stand_in, colour in THEME.items():
        svg = svg.replace(stand_in, colour)
    return re.sub(r"\n\s*", "\n", svg).strip()


def draw_roc(
    shown: Scores, targets: Ints, labels: Sequence[str], thresholds: dict[str, float]
) -> str:
    """One-against-the-rest ROC curves, each disease's operating point marked."""

    def paint(axes: Any) -> None:
        for row, label in _occurring(targets, labels):
            is_positive = targets == row
            order = np.argsort(-shown[:, row], kind="stable")
            hits = np.cumsum(is_positive[order]) / is_positive.sum()
            alarms = np.cumsum(~is_positive[order]) / (~is_positive).sum()
            axes.plot([0, *alarms], [0, *hits], color=colour_of(row), label=label)
            if label in thresholds:
                is_called = shown[:, row] >= thresholds[label]
                point = (is_called[~is_positive].mean(), is_called[is_positive].mean())
                axes.plot(*point, "o", color=colour_of(row), markersize=6)
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
        axes.set(xlabel="1 - specificity", ylabel="recall (sensitivity)")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(loc="lower right")

    return draw(paint, name="roc", title="ROC curve of each label", figsize=SQUARE)


def draw_precision_recall(shown: Scores, targets: Ints, labels: Sequence[str]) -> str:
    """One-against-the-rest precision over recall."""

    def paint(axes: Any) -> None:
        for row, label in _occurring(targets, labels):
            is_positive = (targets == row)[np.argsort(-shown[:, row], kind="stable")]
            found = np.cumsum(is_positive)
            precision = found / np.arange(1, len(found) + 1)
            axes.plot(found / found[-1], precision, color=colour_of(row), label=label)
        axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        axes.legend(loc="lower left")

    return draw(paint, name="pr", title="Precision over recall of each label", figsize=SQUARE)


def draw_reliability(shown: Scores, targets: Ints, labels: Sequence[str]) -> str:
    """How often each label is right, by the probability it was given; perfect is the diagonal."""

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
        for row, label in _occurring(targets, labels):
            _plot_bins(axes, shown[:, row], targets == row, colour=colour_of(row), label=label)
        axes.set(xlabel="probability given", ylabel="share that has it")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(loc="upper left")

    return draw(paint, name="reliability", title="Reliability of each label", figsize=SQUARE)


def draw_confidence(shown: Scores, targets: Ints) -> str:
    """Reliability of the most probable label, over how many images have that confidence."""

    def paint(panels: Any) -> None:
        upper, lower = panels
        top, is_right = shown.max(axis=1), shown.argmax(axis=1) == targets
        upper.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
        _plot_bins(upper, top, is_right, colour=COLOURS[0], label="")
        upper.set(ylabel="share right", ylim=(-0.02, 1.02))
        edges = np.linspace(0, 1, 21).tolist()
        lower.hist([top[is_right], top[~is_right]], edges, log=True, color=COLOURS[:2])
        lower.set(xlabel="probability of the most probable label", ylabel="images (log)")
        lower.legend(["right", "wrong"], loc="upper left")

    layout = {"nrows": 2, "sharex": True, "height_ratios": (2.2, 1)}
    title = "Reliability of the most probable label"
    return draw(paint, name="confidence", title=title, figsize=SQUARE, **layout)


def bin_reliability(
    scores: Scores, is_true: NDArray[np.bool_]
) -> tuple[list[float], list[float], list[int]]:
    """Mean score, share true and count of ten equal bins, without those under 5 images."""
    bins = np.minimum((scores * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    kept = [row for row in range(RELIABILITY_BINS) if (bins == row).sum() >= MIN_IN_BIN]
    return (
        [float(scores[bins == row].mean()) for row in kept],
        [float(is_true[bins == row].mean()) for row in kept],
        [int((bins == row).sum()) for row in kept],
    )


def _plot_bins(
    axes: Any, scores: Scores, is_true: NDArray[np.bool_], *, colour: str, label: str
) -> None:
    """Share true against mean score; the bars are Wilson's 95 % intervals: few images, long bar."""
    claimed, found, counts = (np.array(column) for column in bin_reliability(scores, is_true))
    z2 = 1.96**2
    middle = (found + z2 / (2 * counts)) / (1 + z2 / counts)
    spread = np.sqrt(found * (1 - found) * z2 / counts + (z2 / (2 * counts)) ** 2)
    half = spread / (1 + z2 / counts)
    axes.vlines(claimed, middle - half, middle + half, color=colour, linewidth=1, alpha=0.45)
    axes.plot(claimed, found, "o-", color=colour, markersize=4, linewidth=1.2, label=label)


def draw_decision_curve(shown: Scores, targets: Ints, row: int, label: str) -> str:
    """Net benefit for one label: the model, acting on everybody, and acting on nobody."""
    is_positive = targets == row

    def paint(axes: Any) -> None:
        everybody = net_benefit_of_all(is_positive)
        axes.plot(DECISION_THRESHOLDS, everybody, color=FAINT, linestyle="--")
        axes.axhline(0, color=INK, linewidth=1)
        benefit = net_benefit(shown[:, row], is_positive)
        axes.plot(DECISION_THRESHOLDS, benefit, color=colour_of(row))
        top = max(float(benefit.max()), float(is_positive.mean()))
        axes.set(xlabel="probability from which one acts", ylabel="net benefit", title=label)
        axes.set(ylim=(-0.25 * top, 1.1 * top), xlim=(0, DECISION_THRESHOLDS[-1]))

    title = f"Decision curve of {label}"
    return draw(paint, name=f"decision{row}", title=title, figsize=(3.6, 2.9))


def draw_robustness(rows: Sequence[RobustnessRow]) -> str:
    """A panel for each change: accuracy and both recalls against strength."""
    names = list(dict.fromkeys(row.change for row in rows))
    lines = (
        ("accuracy", "accuracy", INK, "-"),
        ("disease_recall", "disease recall", COLOURS[1], "-"),
        ("normal_recall", "normal recall", COLOURS[0], "-"),
        ("refused", "refused", FAINT, ":"),
    )

    def paint(panels: Any) -> None:
        for axes in panels.flat[len(names) :]:
            axes.remove()
        for axes, name in zip(panels.flat, names, strict=False):
            found = [row for row in rows if row.change == name]
            ticks = ["as is", *(f"{row.strength:g}" for row in found[1:])]
            for field, label, colour, dash in lines:
                values = [getattr(row, field) for row in found]
                if None not in values:
                    axes.plot(values, color=colour, linestyle=dash, marker="o", markersize=3)
                    axes.lines[-1].set_label(label)
            axes.set_xticks(range(len(ticks)), ticks)
            axes.set(title=name, ylim=(-0.03, 1.03))
            axes.set_xlabel(found[0].unit)
        panels.flat[0].legend(loc="lower left")

    count = -(-len(names) // PANELS)
    layout = {"nrows": count, "ncols": PANELS, "sharey": True, "squeeze": False}
    title = "Figures against the strength of each change"
    return draw(paint, name="robustness", title=title, figsize=(9.6, 2.6 * count), **layout)


def draw_subgroups(subgroups: Sequence[Subgroup], headings: Mapping[str, str]) -> str:
    """Forest plots side by side, a panel for each figure: the parts with their intervals."""
    parts = list(reversed(subgroups))
    attributes = list(dict.fromkeys(part.attribute for part in subgroups))

    def paint(panels: Any) -> None:
        for axes, (name, heading) in zip(panels.flat, headings.items(), strict=True):
            for height, part in enumerate(parts):
                if (metric := part.figures[name].value) is not None:
                    colour = colour_of(attributes.index(part.attribute))
                    axes.plot([metric.low, metric.high], [height, height], color=colour)
                    axes.plot(metric.value, height, "o", color=colour, markersize=4)
            axes.set_title(heading, fontsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(3))
        names = [f"{part.attribute}: {part.value}" for part in parts]
        panels.flat[0].set_yticks(range(len(names)), names)
        panels.flat[0].set_ylim(-0.7, len(parts) - 0.3)

    layout = {"ncols": len(headings), "sharey": True, "squeeze": False}
    size = (9.6, 0.8 + 0.22 * len(parts))
    title = "Figures of each part with their intervals"
    return draw(paint, name="subgroups", title=title, figsize=size, **layout)


def _occurring(targets: Ints, labels: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Labels that some but not all images have."""
    for row, label in enumerate(labels):
        if 0 < (targets == row).sum() < len(targets):
            yield row, label
