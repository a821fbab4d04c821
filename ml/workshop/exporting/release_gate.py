"""The release gate: which figures it may name, and whether a bundle's reach what is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ml.errors import TaskConfigInvalid
from ml.manifest import RESEARCH, GateResult, Metric
from ml.typed_tables import Problem, suggest_name
from ml.workshop.evaluation.crossval_record import CrossvalRecord
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.evaluation.robustness import name_robustness_figures
from ml.workshop.figure_names import (
    ABOVE_FROZEN,
    ABOVE_THUMBNAILS,
    ANSWERED,
    CROSSVAL,
    EXTERNAL,
    ROBUSTNESS,
    is_less_better,
)
from ml.workshop.rejects import RejectScore
from ml.workshop.task_config import ReleaseConfig, TaskConfig, find_task


@dataclass(frozen=True, slots=True)
class Scored:
    """What a bundle keeps of its figures: all that a gate can ask for."""

    labels: tuple[str, ...]
    evaluation: Evaluation
    baselines: Mapping[str, Mapping[str, float]]
    strangers: RejectScore
    crossval: CrossvalRecord | None


def list_figures(scored: Scored) -> dict[str, Metric]:
    """Every figure that a gate can name, with its interval.

    Of the test split, above its baselines, of the rejects, of spoilt images, of other places and of
    the cross-validation: `ml.workshop.figure_names` has the names.
    """
    metrics = scored.evaluation.metrics
    figures = dict(metrics) | _list_above(metrics, scored.baselines)
    figures |= scored.strangers.list_figures()
    if "refused" in metrics:
        refused = metrics["refused"]
        figures[ANSWERED] = replace(
            refused, value=1 - refused.value, low=1 - refused.high, high=1 - refused.low
        )
    for source, found in scored.evaluation.external.items():
        figures |= {f"{EXTERNAL}{source}.{name}": one for name, one in found.metrics.items()}
    figures |= scored.evaluation.list_figures(scored.labels)
    return figures | (scored.crossval.list_figures() if scored.crossval else {})


def _list_above(
    metrics: Mapping[str, Metric], baselines: Mapping[str, Mapping[str, float]]
) -> dict[str, Metric]:
    """How far a figure lies above the same one of a baseline, which is taken as it is."""
    kinds = (("thumbnails", ABOVE_THUMBNAILS), ("frozen", ABOVE_FROZEN))
    return {
        f"{name}{suffix}": replace(
            metric, value=metric.value - base, low=metric.low - base, high=metric.high - base
        )
        for kind, suffix in kinds
        for name, base in baselines.get(kind, {}).items()
        if (metric := metrics.get(name)) is not None
    }


def check_gate(config: TaskConfig, record: CrossvalRecord | None) -> None:
    """Raises TaskConfigInvalid for a gate of figures that can't be there, before any is scored."""
    problems = find_unknown_changes(config)
    if record is None and (names := [name for name in config.gate if name.startswith(CROSSVAL)]):
        problems.append(Problem("gate", f"no figure {min(names)}; run crossval --record first"))
    if problems:
        raise TaskConfigInvalid.of_problems(find_task(config.task), problems)


def find_unknown_changes(config: TaskConfig) -> list[Problem]:
    """Figures of spoilt images in the gate that aren't measured: no such change, or strength."""
    known = name_robustness_figures()
    return [
        Problem("gate", f"no figure {name}{suggest_name(name, known)}")
        for name in config.gate
        if name.startswith(ROBUSTNESS) and name not in known
    ]


def judge_gate(config: TaskConfig, figures: Mapping[str, Metric]) -> dict[str, GateResult]:
    """Each figure of the gate by the end of its interval that speaks against it.

    One that wasn't measured, or that rests on too few images or groups, is not met, whatever it is.
    """
    return {
        name: _judge(name, limit, figures.get(name), config.release)
        for name, limit in config.gate.items()
    }


def _judge(name: str, limit: float, metric: Metric | None, release: ReleaseConfig) -> GateResult:
    is_most = is_less_better(name)
    if metric is None:
        return GateResult(limit, 0.0, is_met=False, is_most=is_most, reason="not measured")
    bound = metric.high if is_most else metric.low
    is_reached = bound <= limit if is_most else bound >= limit
    too_little = _describe_basis(metric, release)
    reason = too_little
    if not too_little and not is_reached:
        is_point_good = metric.value <= limit if is_most else metric.value >= limit
        reason = "the interval doesn't hold it" if is_point_good else ""
    return GateResult(
        minimum=limit,
        value=metric.value,
        is_met=is_reached and not too_little,
        bound=bound,
        is_most=is_most,
        images=metric.asked,
        groups=metric.groups,
        reason=reason,
    )


def _describe_basis(metric: Metric, release: ReleaseConfig) -> str:
    """Why the figure rests on too little; empty when it doesn't."""
    if not metric.asked and not metric.groups:
        return "how many images are behind it was not noted"
    if metric.asked < release.min_images:
        return f"{metric.asked} images behind it, of {release.min_images} asked"
    if metric.groups < release.min_groups:
        return f"{metric.groups} groups behind it, of {release.min_groups} asked"
    return ""


def choose_stage(config: TaskConfig, gate: Mapping[str, GateResult]) -> str:
    """The task's stage when every figure of the gate is met, otherwise `research`."""
    return config.stage if all(result.is_met for result in gate.values()) else RESEARCH
