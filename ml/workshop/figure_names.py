"""The names of a bundle's figures, by which a release gate asks for them, before any is scored."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml.confidence import LOW, WORDS
from ml.typed_tables import Problem, suggest_name

if TYPE_CHECKING:
    from ml.workshop.task_config import DecisionConfig, TaskConfig

# What the headline figures are called when they come from every source.
ALL_SOURCES = "all"
# The label given at the operating thresholds, as it is shown; `argmax_` is the likeliest one.
GIVEN, LIKELIEST = "", "argmax_"
HEADLINE_CALLS = ("accuracy", "sensitivity", "specificity")
CALLS = ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "macro_specificity")
CALLS_BY_LABEL = ("recall", "precision", "f1", "specificity")
RANKINGS = ("auc", "average_precision")
REFUSED_BY_LABEL = "refused.by_label."
# Figures of what is shown: shares of the answers, and how often what they say is right.
FLAGGED, PRECISION, LABEL_ACCURACY = (
    "shown.flagged",
    "shown.finding_precision",
    "shown.label_accuracy",
)
RIGHT = {word: f"shown.right.{word}" for word in (*WORDS, LOW)}
SHOWN = (FLAGGED, PRECISION, LABEL_ACCURACY, *RIGHT.values())
# What became of the conformal sets.
OPENNESS = "conformal."
WHOLE = (
    "calibration_error",
    "brier",
    "refused",
    "answered_accuracy",
    "answered_balanced_accuracy",
)
# Figures of a source of other places, and those with a label behind them.
EXTERNAL = "external."
EXTERNAL_FIGURES = (
    "auc",
    "sensitivity",
    "specificity",
    "accuracy",
    "argmax_accuracy",
    "refused",
    "left_open",
    "missed",
    "missed_high",
    "calibration_error",
    "withheld",
)
EXTERNAL_BY_LABEL = ("auc", "recall", "called")
# Shares of the images of other kinds that are refused, and of the test split that is not.
REJECTS = "rejects."
REFUSED, ANSWERED = "rejects.refused", "rejects.in_scope_answered"
ROBUSTNESS = "robustness."
CROSSVAL = "crossval."
# Of a cross-validation of slices: how well whole series are ranked.
SERIES_AUC = "series_auc"
ABOVE_FROZEN, ABOVE_THUMBNAILS = ".above_frozen", ".above_thumbnails"
# Less is better of these: a gate names the most that is allowed.
LESS_IS_BETTER = (
    *("refused", "left_open", "missed", "missed_high", "calibration_error", "brier"),
    "called",
)


def name_figures(labels: Sequence[str], decision: "DecisionConfig") -> set[str]:
    """The names of the figures of the test split: all of them, unless no image asks for one."""
    headline = name_headline(decision)
    asked = [f"{prefix}{call}" for prefix in (GIVEN, LIKELIEST) for call in HEADLINE_CALLS]
    calls = {*CALLS, *(f"{call}.{label}" for call in CALLS_BY_LABEL for label in labels)}
    return {
        *(f"{prefix}{call}" for prefix in (GIVEN, LIKELIEST) for call in calls),
        *(f"macro_{ranking}" for ranking in RANKINGS),
        *(f"{ranking}.{label}" for ranking in RANKINGS for label in labels),
        *WHOLE,
        *(f"{REFUSED_BY_LABEL}{label}" for label in labels),
        *SHOWN,
        *(f"{headline}.{name}" for name in ("auc", *asked) if decision.headline_label),
    }


def name_headline(decision: "DecisionConfig") -> str:
    """What the names of the headline figures begin with."""
    return f"{decision.headline_source or ALL_SOURCES}.{decision.headline_label}"


def is_less_better(name: str) -> bool:
    """Whether a gate's number for the figure is the most that is allowed, not the least."""
    if name.startswith((REJECTS, ROBUSTNESS, CROSSVAL)) or name.endswith(
        (ABOVE_FROZEN, ABOVE_THUMBNAILS)
    ):
        return False
    if name.startswith(EXTERNAL):
        return any(re.search(rf"\.{word}(\.|$)", name) for word in LESS_IS_BETTER)
    return name == FLAGGED or name.split(".")[0] in LESS_IS_BETTER


def describe_statement(name: str) -> str:
    """Which statement of an answer a figure is of."""
    figure = name.removesuffix(ABOVE_FROZEN).removesuffix(ABOVE_THUMBNAILS)
    if name.startswith("shown."):
        return "what is shown"
    if name.startswith((REJECTS, REFUSED_BY_LABEL)) or figure.split(".")[-1] == "refused":
        return "refusals"
    if LIKELIEST in figure:
        return "likeliest label"
    if any(word in figure for word in ("auc", "average_precision", "calibration", "brier")):
        return "probabilities"
    if name.startswith(CROSSVAL):
        # A cross-validation gives the most probable label.
        return "likeliest label"
    return "label given"


def find_gate_problems(config: "TaskConfig") -> list[Problem]:
    """What is wrong with the names of a task's gate; no record is needed to say so."""
    labels = config.data.labels
    own = name_figures(labels, config.decision)
    faults = [
        Problem("gate", f"no figure {name}{suggest_name(name, own)}")
        for name in config.gate
        if not _is_known(name, own, labels, has_external=bool(config.data.external))
    ]
    asked = [name for name in config.gate if name in own]
    if asked and all(LIKELIEST in name for name in asked):
        text = (
            f"{asked[0]} judges the likeliest label alone; ask for a figure of the label given at "
            f"the thresholds too, such as {asked[0].replace(LIKELIEST, GIVEN)}"
        )
        faults.append(Problem("gate", text))
    return faults


def _is_known(name: str, own: set[str], labels: Sequence[str], *, has_external: bool) -> bool:
    by_label = "|".join(map(re.escape, labels))
    if name.startswith(EXTERNAL):
        figures = "|".join([*EXTERNAL_FIGURES, *(f"{x}\\.({by_label})" for x in EXTERNAL_BY_LABEL)])
        return has_external and bool(re.fullmatch(rf"external\..+\.({figures})", name))
    if name.startswith(REJECTS):
        return bool(re.fullmatch(rf"rejects\.[\w-]+(\.by_label\.({by_label}))?", name))
    if name.startswith(OPENNESS):
        return bool(re.fullmatch(rf"conformal\.coverage\.({by_label})", name))
    if name.startswith(ROBUSTNESS):
        return bool(re.fullmatch(r"robustness\.[\w ]+\.[\d.]+\.\w+", name))
    plain = name.removesuffix(ABOVE_FROZEN).removesuffix(ABOVE_THUMBNAILS)
    if name.startswith(CROSSVAL):
        recalls = {f"recall.{label}" for label in labels}
        kept = {"accuracy", "balanced_accuracy", "macro_auc", SERIES_AUC} | recalls
        return plain.removeprefix(CROSSVAL) in kept
    return plain in own and (plain == name or not is_less_better(plain))
