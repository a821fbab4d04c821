"""The release gate: which figures it may name, and whether a bundle's reach what is asked."""

from collections.abc import Mapping

from ml.errors import TaskConfigInvalid
from ml.evaluation.crossval_record import PREFIX, CrossvalRecord
from ml.evaluation.scoring import name_figures
from ml.manifest import RESEARCH, GateResult, Metric
from ml.rejects import RejectScore
from ml.task_config import TaskConfig

# Shares of the images of other kinds that are refused, and of the test split that is not.
REFUSED, ANSWERED = "rejects.refused", "rejects.in_scope_answered"


def list_figures(
    metrics: Mapping[str, Metric], strangers: RejectScore, record: CrossvalRecord | None
) -> dict[str, float]:
    """Every figure that a gate can name: the evaluation's, of the rejects, of the cross-validation.

    Those of a cross-validation begin with `crossval.`, and end in `.above_frozen` for what the
    network reaches above the frozen backbone.
    """
    figures = {name: metric.value for name, metric in metrics.items()}
    figures[REFUSED] = strangers.refused
    if "refused" in metrics:
        figures[ANSWERED] = 1 - metrics["refused"].value
    return figures | (record.list_figures() if record else {})


def check_gate(config: TaskConfig, record: CrossvalRecord | None) -> None:
    """Raises TaskConfigInvalid for a gate of unknown figures, before anything is scored."""
    known = name_figures(config.data.labels, config.decision) | {REFUSED, ANSWERED}
    known |= set(record.list_figures()) if record else set()
    if unknown := set(config.gate) - known:
        name = min(unknown)
        hint = "; run crossval --record first" if name.startswith(PREFIX) and not record else ""
        raise TaskConfigInvalid(path=config.task, detail=f"gate: no figure {name}{hint}")


def judge_gate(config: TaskConfig, figures: Mapping[str, float]) -> dict[str, GateResult]:
    """Each figure of the gate against its least value; raises TaskConfigInvalid for an absent one.

    A figure can be absent when no image of the split asks for it.
    """
    if absent := set(config.gate) - set(figures):
        raise TaskConfigInvalid(path=config.task, detail=f"gate: no figure {min(absent)}")
    return {
        name: GateResult(minimum, figures[name], figures[name] >= minimum)
        for name, minimum in config.gate.items()
    }


def choose_stage(config: TaskConfig, gate: Mapping[str, GateResult]) -> str:
    """The task's stage when every figure of the gate is met, otherwise `research`."""
    return config.stage if all(result.is_met for result in gate.values()) else RESEARCH
