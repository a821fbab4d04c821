"""What the validation images decide of answers: thresholds, bands, transfer, limits, words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.aggregation import Decision, Outcome, decide, hold_to, measure_margin
from ml.calibration import Floats, OperatingPoint, choose_band, choose_threshold
from ml.confidence import Confidence, fit_confidence
from ml.conformal import fit_conformal
from ml.limits import Conformal
from ml.manifest import Operating
from ml.transfer import Transfer
from ml.workshop.datasets import Example
from ml.workshop.task_config import TaskConfig
from ml.workshop.transfer import Asked, Rows, choose_transferring, record_transfer


@dataclass(frozen=True, slots=True)
class Validation:
    """What decides a bundle: one row for each image of the validation split.

    The images, logits N x K, label indices, balancing weights, the gate's distances, sources and
    groups.
    """

    examples: Sequence[Example]
    logits: Floats
    targets: NDArray[np.int64]
    weights: NDArray[np.float64]
    distances: NDArray[np.float64]
    sources: NDArray[np.str_]
    groups: NDArray[np.str_]


def choose_operating(
    config: TaskConfig, validation: Validation, scores: NDArray[np.float64]
) -> tuple[Operating, Transfer | None]:
    """Thresholds and bands by the probabilities (N x K), and whether they hold elsewhere.

    Without limits for a second source, or a threshold to ask about, that stays unasked.
    """
    decision, labels = config.decision, config.data.labels
    limits = Asked(decision.transfer_recall, decision.transfer_specificity)
    asked = limits if max(limits.recall, limits.specificity) > 0 else None
    points, bands, proofs = {}, {}, {}
    for label in decision.recall_labels:
        rows = Rows(
            scores=scores[:, labels.index(label)],
            is_positive=validation.targets == labels.index(label),
            sources=validation.sources,
            groups=validation.groups,
        )
        points[label], holds = _choose_point(config, rows, asked)
        proofs[label] = (rows, points[label].threshold, holds)
        band = choose_band(
            rows.scores,
            rows.is_positive,
            threshold=points[label].threshold,
            max_error=decision.band_error,
            max_share=decision.band_share,
        )
        bands[label] = (band.low, band.high)
    operating = Operating(
        thresholds={label: point.threshold for label, point in points.items()},
        target=_describe_target(decision.min_specificity),
        target_recall=decision.target_recall,
        validation_recall={label: point.recall for label, point in points.items()},
        validation_specificity={label: point.specificity for label, point in points.items()},
        bands=bands,
        band_error=decision.band_error,
        band_share=decision.band_share,
    )
    return operating, record_transfer(proofs, asked) if proofs and asked else None


def _describe_target(min_specificity: float) -> str:
    recall = "lower 95 % bound of the recall of each of these labels on the validation split"
    if not min_specificity:
        return recall
    return f"a specificity of {min_specificity:g} or more and, as far as that allows, {recall}"


def _choose_point(
    config: TaskConfig, rows: Rows, asked: Asked | None
) -> tuple[OperatingPoint, bool]:
    """A disease's operating point, and whether it was shown to hold elsewhere."""
    decision = config.decision
    if asked is None:
        point = choose_threshold(
            rows.scores,
            rows.is_positive,
            target_recall=decision.target_recall,
            min_specificity=decision.min_specificity,
        )
        return point, False
    return choose_transferring(
        rows,
        preferred=decision.headline_source,
        target_recall=decision.target_recall,
        min_specificity=decision.min_specificity,
        asked=asked,
    )


def fit_answers(
    config: TaskConfig,
    validation: Validation,
    scores: NDArray[np.float64],
    operating: Operating,
    is_answered: NDArray[np.bool_],
) -> tuple[Conformal | None, Confidence]:
    """What stays open beside the thresholds, and the words of confidence of what is then shown.

    By the probabilities (N x K) and the images (N) that the gate answers. The words are earned by
    the labels that people are told: those that the conformal limits withhold don't count.
    """
    labels, normal = config.data.labels, config.data.normal_label
    rows = [dict(zip(labels, map(float, row), strict=True)) for row in scores]
    decisions = [
        decide(row, normal, thresholds=operating.thresholds, bands=operating.bands) for row in rows
    ]
    conformal = _fit_conformal(config, validation, scores, decisions)
    shown = [
        hold_to(conformal, decision, row, normal)[0].label
        for decision, row in zip(decisions, rows, strict=True)
    ]
    margins = [
        measure_margin(label, row, operating.thresholds)
        for label, row in zip(shown, rows, strict=True)
    ]
    is_told = is_answered & np.array([margin is not None for margin in margins], bool)
    truth = [labels[target] for target in validation.targets]
    is_right = np.array([label == true for label, true in zip(shown, truth, strict=True)], bool)
    return conformal, fit_confidence(
        np.array(margins, np.float64)[is_told],
        is_right[is_told],
        validation.sources[is_told].tolist(),
        validation.groups[is_told].tolist(),
    )


def _fit_conformal(
    config: TaskConfig,
    validation: Validation,
    scores: NDArray[np.float64],
    decisions: Sequence[Decision],
) -> Conformal | None:
    """The conformal limits, for a task that asks for them."""
    asked = config.decision
    if not (asked.coverage or asked.min_npv):
        return None
    return fit_conformal(
        scores,
        validation.targets,
        validation.sources.tolist(),
        config.data.labels,
        config.data.normal_label,
        is_called_normal=np.array([one.outcome == Outcome.NO_FINDING for one in decisions], bool),
        coverage=asked.coverage,
        prevalence=asked.prevalence,
        min_npv=asked.min_npv,
    )
