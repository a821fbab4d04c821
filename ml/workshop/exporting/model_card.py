"""The model card: what the bundle is for, what it reached, and where it must not be trusted."""

from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from ml.manifest import GateResult, Manifest
from ml.workshop.evaluation.beside import FROZEN, THUMBNAILS, Baselines
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.exporting.card_external import render_external
from ml.workshop.exporting.card_limits import (
    describe_harm,
    render_conformal,
    render_quality,
    render_refused_labels,
    render_strangers,
)
from ml.workshop.exporting.card_maps import render_maps
from ml.workshop.exporting.card_tables import (
    format_interval,
    format_table,
    render_crossval,
    render_population,
    render_series,
    render_transfer,
    render_words,
)
from ml.workshop.exporting.kept import Record
from ml.workshop.figure_names import ANSWERED, REFUSED, describe_statement
from ml.workshop.openings import EXTERNAL, Opening
from ml.workshop.task_config import TaskConfig

# What the designators of DICOM (PS3.16, 8) stand for.
SCHEMES = {"SCT": "SNOMED CT (SCT)", "99MEDIMAGING": "this project's own (99MEDIMAGING)"}


def render_card(manifest: Manifest, config: TaskConfig, kept: Record) -> str:
    """The card as Markdown: the manifest, what the bundle keeps, the task file's sentences."""
    parts = [
        f"# {manifest.title} {manifest.version}",
        f"**Not for clinical use.** Stage: {manifest.stage}. {config.card.intended_use}",
        _describe(manifest),
        "## Labels and their codes",
        _render_codes(manifest),
        _render_gate(manifest),
        "## Population",
        render_population(kept.population),
        "## On images of other places",
        render_external(kept.evaluation),
        "## Figures on the test split",
        _render_openings(kept.openings),
        _render_metrics(manifest, kept.baselines),
        _render_sources(kept.evaluation, manifest),
        render_refused_labels(kept.evaluation),
        _render_seeds(kept.evaluation),
        render_series(manifest.series, kept.evaluation.series),
        render_crossval(kept.crossval),
        "## Operating point",
        _render_operating(manifest),
        render_conformal(manifest.conformal, kept.evaluation.openness),
        render_quality(manifest.quality),
        render_transfer(manifest.transfer),
        render_words(manifest.confidence, manifest),
        "## Heat maps",
        render_maps(manifest.maps),
        "## Images that are none of its business",
        render_strangers(kept.strangers, manifest),
        "## Limits",
        _list((*config.card.limits, *describe_harm(kept.evaluation.robustness))),
        "## Choices and their evidence",
        _list(config.card.choices),
        "## Data and licences",
        _render_data(manifest, config),
        "## Reproduce",
        _render_reproduction(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _describe(manifest: Manifest) -> str:
    spec, scope = manifest.input, manifest.scope
    rows = [
        ("Input", f"{spec.size} x {spec.size} {spec.colour}, {manifest.preprocessing}"),
        ("Modalities", ", ".join(scope.modalities) or "any"),
        ("Ages", f"{scope.min_age_years:g} to {scope.max_age_years:g} years"),
        ("Study rule", manifest.aggregation),
        ("Made", manifest.created),
    ]
    if spec.hu_window:
        center, width = spec.hu_window
        rows.append(("A CT in Hounsfield units", f"read at center {center:g}, width {width:g}"))
    if spec.hu_channels:
        windows = ", ".join(f"{center:g}/{width:g}" for center, width in spec.hu_channels)
        rows.append(("Channels in Hounsfield units", f"center/width {windows}"))
    if spec.grey_levels == "values":
        rows.append(("Deep grey images", "read by the values of the anatomy, not by their window"))
    if scope.sexes:
        rows.append(("Sexes", ", ".join(scope.sexes)))
    return format_table(("", ""), rows)


def _render_codes(manifest: Manifest) -> str:
    rows = []
    for label in manifest.labels:
        code = manifest.codes[label]
        scheme = SCHEMES.get(code.scheme, code.scheme)
        rows.append((label, f"`{code.value}`", scheme, code.meaning))
    return format_table(("label", "code", "scheme", "meaning"), rows)


def _render_gate(manifest: Manifest) -> str:
    """What the stage rests on; nothing for a task without a gate."""
    if not manifest.gate:
        return ""
    rows = [
        (
            name,
            describe_statement(name),
            f"{'at most' if result.is_most else 'at least'} {result.minimum:g}",
            f"{result.value:.3f}",
            _format(result.bound),
            f"{result.images} ({result.groups})",
            _describe_verdict(result),
        )
        for name, result in manifest.gate.items()
    ]
    head = ("figure", "of", "asked", "reached", "judged by", "images (groups)", "met")
    table = format_table(head, rows)
    note = (
        "What was asked beforehand; a bundle that misses any of it is for research only. Judged is "
        "the end of the 95 % interval that speaks against the bundle, and only a figure with "
        "enough images and groups behind it can be met. "
        f"`{REFUSED}` is the share refused of images of other kinds, `{ANSWERED}` that of the test "
        "split that is not; figures that begin with `crossval.` are of the cross-validation below."
    )
    return f"## Release gate\n\n{note}\n\n{table}"


def _describe_verdict(result: GateResult) -> str:
    verdict = "yes" if result.is_met else "**no**"
    return f"{verdict}: {result.reason}" if result.reason else verdict


def _render_openings(openings: Sequence[Opening]) -> str:
    foreign = [one for one in openings if one.purpose.startswith(EXTERNAL)]
    own = [one for one in openings if not one.purpose.startswith(EXTERNAL)]
    parts = [_list_openings("The test split was", own)]
    if foreign:
        parts.append(_list_openings("Images of other places were", foreign))
    return "\n\n".join(parts)


def _list_openings(what: str, openings: Sequence[Opening]) -> str:
    lines = [f"{one.opened[:10]}: {one.version}, {one.purpose}" for one in openings]
    count = len(lines)
    note = f"{what} looked at {count} time{'s' if count != 1 else ''} for this task:"
    return f"{note}\n\n{_list(lines)}"


def _render_metrics(manifest: Manifest, baselines: Baselines) -> str:
    """Every figure with its interval, and beside it what both baselines reach."""
    thumbnails, frozen = (baselines.get(kind, {}) for kind in (THUMBNAILS, FROZEN))
    rows = [
        (
            name,
            format_interval(metric),
            *(_format(found.get(name)) for found in (thumbnails, frozen)),
        )
        for name, metric in manifest.metrics.items()
    ]
    note = (
        "Intervals are 95 %, from resampling whole groups (patients) 1000 times, and exact where "
        "fewer than five groups were right or wrong. Names that begin "
        "with `argmax_` take the most probable label, the others the label given at thresholds "
        "from the validation split, `shown.` ones are of what people are told: how often a disease "
        "is flagged without being the likeliest, and how often findings and labels are right. "
        "Beside them, on the same images: logistic regression on "
        "16 x 16 thumbnails, which can see little disease, and a linear layer on a frozen ImageNet "
        "backbone, each with thresholds of its own from the validation split. What a thumbnail "
        "reaches is owed to how and where the images were taken. A baseline refuses nothing."
    )
    head = ("figure", "value (95 % interval)", "thumbnails", "frozen backbone")
    return f"{note}\n\n{format_table(head, rows)}"


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _render_sources(evaluation: Evaluation, manifest: Manifest) -> str:
    rows = [
        (cell, *(str(counts[label]) for label in manifest.labels))
        for cell, counts in evaluation.by_source.items()
    ]
    head = ("source / label in the set", *(f"called {label}" for label in manifest.labels))
    refused = ", ".join(f"{code} {count}" for code, count in evaluation.refusals.items())
    return f"{format_table(head, rows)}\n\nRefused among them: {refused or 'none'}."


def _render_seeds(evaluation: Evaluation) -> str:
    """The spread over trainings; nothing when there was one."""
    rows = [
        (name, str(len(values)), f"{mean(values):.3f} ± {stdev(values):.3f}")
        for name, values in evaluation.seeds.items()
        if len(values) > 1
    ]
    if not rows:
        return ""
    note = "The same recipe with other seeds, most probable labels, on the same images:"
    return f"{note}\n\n{format_table(('figure', 'trainings', 'mean ± sd'), rows)}"


def _render_operating(manifest: Manifest) -> str:
    operating, distance = manifest.operating, manifest.distance
    rows = [
        (
            label,
            f"{limit:.4f}",
            f"{operating.validation_recall[label]:.3f}",
            f"{operating.validation_specificity[label]:.3f}",
        )
        for label, limit in operating.thresholds.items()
    ]
    head = ("disease", "threshold", "validation recall", "validation specificity")
    return (
        f"Chosen for: {operating.target}, at least {operating.target_recall:g}. "
        f"Temperature {manifest.temperature:.3f}, from the validation split.\n\n"
        f"{format_table(head, rows)}\n\n"
        f"An image farther than {distance.limit:.2f} from the training embeddings is not "
        f"answered; that refuses {distance.validation_refusal:.1%} of the validation split."
    )


def _render_data(manifest: Manifest, config: TaskConfig) -> str:
    counts = ", ".join(f"{count} {split}" for split, count in manifest.training.images.items())
    mapped = ", ".join(f"{name} as {label}" for name, label in config.data.mapping.items())
    lines = [
        f"Images: {counts}; no group (patient where known) crosses splits.",
        f"Labels of the set that stand for another: {mapped}." if mapped else "",
        *config.card.licences,
        "Licences are recalled from the original publications and not verified.",
    ]
    return _list(line for line in lines if line)


def _render_reproduction(manifest: Manifest) -> str:
    training, parity = manifest.training, manifest.parity
    software = ", ".join(f"{name} {number}" for name, number in training.software.items())
    return _list(
        (
            f"`python -m ml train {manifest.task} --data ../shared/data`, then "
            f"`python -m ml export {manifest.task} --data ../shared/data`",
            f"Table {training.data_table}, SHA-256 `{training.data_sha256}`.",
            f"Choices in the task file, SHA-256 `{training.config_sha256}`.",
            f"Best of {training.epochs} epochs: {training.best_epoch}. {software}.",
            f"OpenVINO against TensorFlow on {parity.images} images: largest difference in "
            f"probability {parity.max_difference:.1e}, labels changed {parity.labels_changed}.",
        )
    )
