"""What of the model card says when an answer is withheld: quality, refusals, open labels."""

from collections.abc import Mapping, Sequence

from ml.limits import Conformal, QualityLimits
from ml.manifest import Manifest
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.evaluation.robustness import ACCEPTED_PART, RobustnessRow, find_harm
from ml.workshop.exporting.card_tables import format_table
from ml.workshop.rejects import RejectScore
from ml.workshop.rejects.scoring import Share

# The figures that harm shows in, with whose images they are of.
HARMED = {
    "normal_recall_or_refused": "normal",
    "disease_recall_or_refused": "diseased",
}


def describe_harm(rows: Sequence[RobustnessRow]) -> list[str]:
    """A sentence for each change that misleads, from the strength on from which it does.

    None for records that don't tell which of the spoilt images were refused.
    """
    return [
        f"Misled by {row.change.replace('_', ' ')} from {row.strength:g} on ({row.unit}): of "
        f"{side} images {getattr(row, figure):.0%} are answered rightly or refused."
        for figure, side in HARMED.items()
        for row in find_harm(rows, figure)
    ]


def render_quality(limits: QualityLimits | None) -> str:
    """The limits of image quality; nothing for a bundle without."""
    if limits is None:
        return ""
    rows = [
        (name, f"{one.limit:.3f}", f"{one.validation_refusal:.1%}")
        for name, one in limits.limits.items()
    ]
    note = (
        "An image is refused for how it was taken or stored where a measure is above its limit. "
        f"The limits refuse {limits.validation_refusal:.1%} of the validation images as they are "
        f"(at most {limits.target_refusal:.1%} was allowed). They were chosen so that of spoilt "
        f"images, normal or diseased, at least {ACCEPTED_PART:.0%} as many as of the sharp are "
        "right or refused. What has no limit does no such harm."
    )
    failed = [f"{name.replace('.', ' ', 1)}: {share:.0%}" for name, share in limits.unmet.items()]
    told = (
        "No limit does both for these; behind each the share that is right or refused: "
        f"{', '.join(failed)}."
        if failed
        else "That holds for every change that was tried."
    )
    head = ("measure", "limit", "validation refusal")
    return f"### Image quality\n\n{note}\n\n{format_table(head, rows)}\n\n{told}"


def render_conformal(conformal: Conformal | None, found: Mapping[str, float]) -> str:
    """Which diseases stay open and when health is said; nothing for a bundle without.

    `found` are the figures of the test split.
    """
    if conformal is None:
        return ""
    parts = ["### What can't be ruled out"]
    if conformal.lowest:
        rows = [
            (
                label,
                f"{lowest:.4f}",
                f"{conformal.validation_coverage[label]:.3f}",
                _show(found.get(f"coverage.{label}")),
            )
            for label, lowest in conformal.lowest.items()
        ]
        parts += [
            "A disease stays open where it is at least so probable; chosen for each on its own "
            f"validation images to cover {conformal.coverage:.0%} of them. Where one is open, the "
            "normal label isn't given.",
            format_table(("disease", "open from", "validation coverage", "test coverage"), rows),
        ]
    if conformal.clearance is not None:
        parts.append(_describe_clearance(conformal))
        cleared, npv = _show(found.get("cleared")), _show(found.get("npv"))
        parts.append(
            f"On the test split {cleared} of the normal images get it, with a value of {npv}."
        )
    return "\n\n".join(parts)


def _show(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _describe_clearance(conformal: Conformal) -> str:
    clearance = conformal.clearance
    if clearance is None:
        return ""
    asked = (
        f"a negative predictive value of {clearance.min_npv:g} at a prevalence of "
        f"{clearance.prevalence:g}"
    )
    if clearance.lowest is None:
        return f"The normal label is never given: nothing reaches {asked} on the validation images."
    reached = ", ".join(f"{name} {npv:.4f}" for name, npv in clearance.validation_npv.items())
    return (
        f"The normal label is given from {clearance.lowest:.4f} on, for {asked}. On the validation "
        f"images (lower bounds): {reached}; {clearance.cleared:.1%} of the normal ones get it."
    )


def render_strangers(strangers: RejectScore, manifest: Manifest) -> str:
    """What of other kinds of image is refused, by kind and by label."""
    rows = [
        (_name(kind), *_count(strangers, kind), f"{share:.3f}")
        for kind, share in strangers.by_kind.items()
    ]
    refused = manifest.metrics["refused"]
    head = ("kind", *(("images",) if strangers.counts else ()), "refused")
    text = (
        f"Of {strangers.images} images of other kinds, none of them seen while the limit was set, "
        f"{strangers.refused:.1%} are refused; of the test split {refused.value:.1%} "
        f"({refused.low:.1%} to {refused.high:.1%}).\n\n{format_table(head, rows)}"
    )
    if not strangers.by_label:
        return text
    labels = list(dict.fromkeys(name for found in strangers.by_label.values() for name in found))
    cells = [
        (_name(kind), *(_format(found.get(label)) for label in labels))
        for kind, found in strangers.by_label.items()
    ]
    note = "Of those made of the task's own images, refused by the image's label in the set:"
    return f"{text}\n\n{note}\n\n{format_table(('kind', *labels), cells)}"


def _count(strangers: RejectScore, kind: str) -> tuple[str, ...]:
    return (str(strangers.counts[kind]),) if strangers.counts else ()


def _name(kind: str) -> str:
    return kind.replace("_", " ")


def _format(share: Share | None) -> str:
    return "–" if share is None else f"{share.refused} of {share.images}"


def render_refused_labels(evaluation: Evaluation) -> str:
    """How many of each label's images are refused; nothing for a record that doesn't tell."""
    found = evaluation.refused_by_label
    if not found:
        return ""
    told = ", ".join(f"{label} {_format(share)}" for label, share in found.items())
    return f"Refused by label: {told}."
