"""The model card's section on images of other places, the drop first, as Markdown."""

from collections.abc import Mapping

from ml.manifest import ExternalFigures, Metric
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.exporting.card_tables import format_interval, format_table

HEADLINES = {
    "auc": "AUC of any disease",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy of the labels given",
}
# A difference that the three digits of a figure don't show.
HARDLY = 0.0005
NOTE = (
    "Nothing was learned from these images and nothing chosen by them; they were scored when "
    "everything was fixed. Beside them the same figures of the test images of the labels that are "
    "asked there; a drop is how much worse the figure is there, its interval from both. "
    "`sensitivity`: of the answered images of a disease, those not said to be without; "
    "`specificity`: of the answered images without, those said to be. `missed`: of all images of a "
    "disease, those said to be without, `missed_high` with high confidence. `accuracy` is of the "
    "labels given, `argmax_accuracy` of the most probable label of every answered image, "
    "`called.` the images wrongly said to have the label, `left_open` those answered without a "
    "label. Intervals are 95 %, by group."
)


def render_external(evaluation: Evaluation) -> str:
    """A sentence for each place, then figure by figure; or that there was none."""
    absent = ", ".join(evaluation.external_absent)
    missing = f"Not at hand when it was scored: {absent}." if absent else ""
    if not evaluation.external:
        return (
            "**Own source only.** No image of another place was scored: how far the figures below "
            f"hold elsewhere is not known. {missing}".rstrip()
        )
    parts = [_describe(name, found) for name, found in evaluation.external.items()]
    tables = [_render_source(name, found) for name, found in evaluation.external.items()]
    return "\n\n".join(filter(None, ("\n".join(parts), NOTE, missing, *tables)))


def _describe(name: str, found: ExternalFigures) -> str:
    falls = [
        _describe_drop(words, found.own[figure], found.metrics[figure], found.drops[figure])
        for figure, words in HEADLINES.items()
        if figure in found.drops
    ]
    alone = [
        f"{words} {format_interval(found.metrics[figure])}"
        for figure, words in HEADLINES.items()
        if figure in found.metrics and figure not in found.drops
    ]
    shares = _describe_shares(found.metrics)
    learned = (
        " Other images of this source were in training: other patients, not another place."
        if found.is_learned
        else ""
    )
    told = "; ".join([*falls, *alone, *shares])
    counted = f"{found.images} images of {found.groups} groups"
    if found.left_out:
        counted += f"; {sum(found.left_out.values())} more left out by name"
    return f"- **{name}** ({counted}): {told}.{learned}"


def _describe_drop(words: str, own: Metric, foreign: Metric, drop: Metric) -> str:
    value, low, high = map(say_drop, (drop.value, drop.low, drop.high))
    return f"{words} {value} ({low} to {high}): {foreign.value:.3f} instead of {own.value:.3f}"


def say_drop(drop: float) -> str:
    """How a figure there compares with the own one, in words: "0.152 lower"."""
    if abs(drop) < HARDLY:
        return "as high"
    return f"{abs(drop):.3f} {'lower' if drop > 0 else 'higher'}"


def _describe_shares(metrics: Mapping[str, Metric]) -> list[str]:
    words = {
        "refused": "refused",
        "left_open": "left open",
        "missed": "of the diseased said to be without",
        "missed_high": "of the diseased so with high confidence",
    }
    return [f"{metrics[name].value:.1%} {said}" for name, said in words.items() if name in metrics]


def _render_source(name: str, found: ExternalFigures) -> str:
    rows = [
        (
            figure,
            _show(found.drops.get(figure), sign="+"),
            format_interval(metric),
            _show(found.own.get(figure)),
            f"{metric.asked} ({metric.groups})",
        )
        for figure, metric in found.metrics.items()
    ]
    figures = format_table(("figure", "drop", "there", "own test", "images (groups)"), rows)
    said = list(next(iter(found.said.values()), {}))
    counts = format_table(
        ("label in the set", *said),
        [(label, *(str(row[one]) for one in said)) for label, row in found.said.items()],
    )
    refused = ", ".join(f"{code} {count}" for code, count in found.refusals.items())
    reasons = "; ".join(f"{count}: {reason}" for reason, count in found.left_out.items())
    left_out = f"\n\nLeft out by name, in no figure: {reasons}." if reasons else ""
    return (
        f"### {name}\n\n`{found.table}`, SHA-256 `{found.data_sha256}`.\n\n{figures}\n\n{counts}"
        f"\n\nRefused among them: {refused or 'none'}.{left_out}"
    )


def _show(metric: Metric | None, *, sign: str = "") -> str:
    return "–" if metric is None else format_interval(metric, sign=sign)
