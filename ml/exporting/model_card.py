"""The model card: what the bundle is for, what it reached, and where it must not be trusted."""

from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from ml.evaluation.report import Evaluation
from ml.manifest import Manifest, Metric
from ml.openings import Opening
from ml.rejects import RejectScore
from ml.task_config import TaskConfig


def render_card(
    manifest: Manifest,
    config: TaskConfig,
    evaluation: Evaluation,
    openings: Sequence[Opening],
    strangers: RejectScore,
) -> str:
    """The card as Markdown, from the manifest, the evaluation and the task file's sentences."""
    parts = [
        f"# {manifest.title} {manifest.version}",
        f"**Not for clinical use.** Stage: {manifest.stage}. {config.card.intended_use}",
        _describe(manifest),
        _render_gate(manifest),
        "## Figures on the test split",
        _render_openings(openings),
        _render_metrics(manifest),
        _render_sources(evaluation, manifest),
        _render_baseline(evaluation),
        _render_seeds(evaluation),
        "## Operating point",
        _render_operating(manifest),
        "## Images that are none of its business",
        _render_strangers(strangers, manifest),
        "## Limits",
        _list(config.card.limits),
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
        ("Labels", ", ".join(manifest.labels)),
        ("Input", f"{spec.size} x {spec.size} {spec.colour}, {manifest.preprocessing}"),
        ("Modalities", ", ".join(scope.modalities) or "any"),
        ("Ages", f"{scope.min_age_years:g} to {scope.max_age_years:g} years"),
        ("Study rule", manifest.aggregation),
        ("Made", manifest.created),
    ]
    return _table(("", ""), rows)


def _render_gate(manifest: Manifest) -> str:
    """What the stage rests on; nothing for a task without a gate."""
    if not manifest.gate:
        return ""
    rows = [
        (name, f"{result.minimum:g}", f"{result.value:.3f}", "yes" if result.is_met else "**no**")
        for name, result in manifest.gate.items()
    ]
    table = _table(("figure", "at least", "reached", "met"), rows)
    return f"## Release gate\n\nBelow it a bundle is for research only.\n\n{table}"


def _render_openings(openings: Sequence[Opening]) -> str:
    lines = [f"{one.opened[:10]}: {one.version}, {one.purpose}" for one in openings]
    count = len(lines)
    note = f"The test split was looked at {count} time{'s' if count != 1 else ''} for this task:"
    return f"{note}\n\n{_list(lines)}"


def _render_metrics(manifest: Manifest) -> str:
    rows = [(name, _interval(metric)) for name, metric in manifest.metrics.items()]
    note = "Intervals are 95 %, from resampling whole groups (patients) 1000 times."
    return f"{note}\n\n{_table(('figure', 'value (95 % interval)'), rows)}"


def _interval(metric: Metric) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def _render_sources(evaluation: Evaluation, manifest: Manifest) -> str:
    rows = [
        (cell, *(str(counts[label]) for label in manifest.labels))
        for cell, counts in evaluation.by_source.items()
    ]
    head = ("source / label in the set", *(f"called {label}" for label in manifest.labels))
    refused = ", ".join(f"{code} {count}" for code, count in evaluation.refusals.items())
    return f"{_table(head, rows)}\n\nRefused among them: {refused or 'none'}."


def _render_baseline(evaluation: Evaluation) -> str:
    """Both baselines beside the network's own figures for the most probable label."""
    frozen, own = evaluation.frozen_baseline, evaluation.metrics
    rows = [
        (
            name,
            f"{value:.3f}",
            f"{frozen[name]:.3f}" if name in frozen else "–",
            next((f"{own[one].value:.3f}" for one in (f"argmax_{name}", name) if one in own), "–"),
        )
        for name, value in evaluation.baseline.items()
    ]
    note = (
        "Logistic regression on 16 x 16 thumbnails, which can see little disease, and a linear "
        "layer on a frozen ImageNet backbone reach the following on the same images; beside them "
        "this network's most probable labels. What a thumbnail reaches is owed to how and where "
        "the images were taken."
    )
    head = ("figure", "thumbnails", "frozen backbone", "this network")
    return f"{note}\n\n{_table(head, rows)}"


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
    return f"{note}\n\n{_table(('figure', 'trainings', 'mean ± sd'), rows)}"


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
        f"{_table(head, rows)}\n\n"
        f"An image farther than {distance.limit:.2f} from the training embeddings is not "
        f"answered; that refuses {distance.validation_refusal:.1%} of the validation split."
    )


def _render_strangers(strangers: RejectScore, manifest: Manifest) -> str:
    rows = [(kind.replace("_", " "), f"{share:.3f}") for kind, share in strangers.by_kind.items()]
    refused = manifest.metrics["refused"]
    return (
        f"Of {strangers.images} images of other kinds, none of them seen while the limit was set, "
        f"{strangers.refused:.1%} are refused; of the test split {refused.value:.1%} "
        f"({refused.low:.1%} to {refused.high:.1%}).\n\n{_table(('kind', 'refused'), rows)}"
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


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
