"""What the operating points give: recall, specificity, predictive values, and net benefit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml.manifest import Manifest, Metric
from ml.workshop.evaluation.exact import Basis
from ml.workshop.evaluation.metrics import Draws, Weights, bootstrap_weights, weigh_share
from ml.workshop.evaluation.scoring import Answers

# Share of patients with the disease: screening, an unselected clinic, a referral, an outbreak.
PREVALENCES = (0.005, 0.02, 0.1, 0.3)
# Probabilities from which somebody would act; the decision curve's abscissa.
DECISION_THRESHOLDS = np.linspace(0.01, 0.6, 60)


@dataclass(frozen=True, slots=True)
class OperatingResult:
    """A label's threshold, what it gave where it was chosen, and what it gives on this split.

    `recall`, `specificity` and `precision` are of the label against all others, whichever label is
    given in the end. `ppv` and `npv` are by prevalence, as text. A figure without images is None.
    """

    threshold: float
    validation_recall: float
    validation_specificity: float
    recall: Metric | None
    specificity: Metric | None
    precision: Metric | None
    ppv: dict[str, Metric]
    npv: dict[str, Metric]


def judge_operating(
    answers: Answers, manifest: Manifest, *, resamples: int
) -> dict[str, OperatingResult]:
    """Each disease's operating point on these images."""
    operating = manifest.operating
    results = {}
    for label, threshold in operating.thresholds.items():
        metrics = _score_point(answers, manifest.labels.index(label), threshold, resamples)
        results[label] = OperatingResult(
            threshold=threshold,
            validation_recall=operating.validation_recall[label],
            validation_specificity=operating.validation_specificity[label],
            recall=metrics.get("recall"),
            specificity=metrics.get("specificity"),
            precision=metrics.get("precision"),
            ppv=_pick(metrics, "ppv."),
            npv=_pick(metrics, "npv."),
        )
    return results


def _score_point(
    answers: Answers, label: int, threshold: float, resamples: int
) -> dict[str, Metric]:
    is_called = answers.probabilities[:, label] >= threshold
    is_positive = answers.targets == label

    def score(weights: Weights) -> dict[str, Draws]:
        recall = weigh_share(weights * is_positive, is_called)
        specificity = weigh_share(weights * ~is_positive, ~is_called)
        scores = {
            "recall": recall,
            "specificity": specificity,
            "precision": weigh_share(weights * is_called, is_positive),
        }
        for prevalence in PREVALENCES:
            ppv, npv = predictive_values(recall, specificity, prevalence=prevalence)
            scores |= {f"ppv.{prevalence:g}": ppv, f"npv.{prevalence:g}": npv}
        return scores

    bases = {
        "recall": Basis((is_positive,), is_called),
        "specificity": Basis((~is_positive,), ~is_called),
        "precision": Basis((is_called,), is_positive),
    }
    metrics = bootstrap_weights(score, answers.groups, resamples=resamples, bases=bases)
    return metrics | _bound_predictive(metrics)


def _bound_predictive(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Predictive values, at least as uncertain as the recall and specificity they follow from."""
    if not {"recall", "specificity"} <= set(metrics):
        return {}
    ends = [
        (np.array([getattr(metrics[name], end)]) for name in ("recall", "specificity"))
        for end in ("low", "high")
    ]
    low, high = (list(pair) for pair in ends)
    found = {}
    for prevalence in PREVALENCES:
        worst = predictive_values(*low, prevalence=prevalence)
        best = predictive_values(*high, prevalence=prevalence)
        for kind, least, most in zip(("ppv", "npv"), worst, best, strict=True):
            metric = metrics.get(f"{kind}.{prevalence:g}")
            if metric is not None and metric.low == metric.high:
                found[f"{kind}.{prevalence:g}"] = replace(
                    metric, low=float(least[0]), high=float(most[0])
                )
    return found


def _pick(metrics: dict[str, Metric], prefix: str) -> dict[str, Metric]:
    return {
        name.removeprefix(prefix): metric
        for name, metric in metrics.items()
        if name.startswith(prefix)
    }


def predictive_values(
    recall: Draws, specificity: Draws, *, prevalence: float
) -> tuple[Draws, Draws]:
    """PPV and NPV at a prevalence by Bayes' rule: what a call means depends on who is examined."""
    true_positive, false_negative = recall * prevalence, (1 - recall) * prevalence
    true_negative, false_positive = (
        specificity * (1 - prevalence),
        (1 - specificity) * (1 - prevalence),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ppv = true_positive / (true_positive + false_positive)
        npv = true_negative / (true_negative + false_negative)
    return np.asarray(ppv), np.asarray(npv)


def net_benefit(
    scores: NDArray[np.floating],
    is_positive: NDArray[np.bool_],
    thresholds: NDArray[np.floating] = DECISION_THRESHOLDS,
) -> NDArray[np.float64]:
    """Net benefit of acting on the scores from each threshold on (Vickers and Elkin 2006).

    TP/n - FP/n * pt/(1 - pt): true positives less the false ones, at the exchange rate that the
    threshold pt stands for. Acting on nobody is 0.
    """
    is_called = scores[None, :] >= np.asarray(thresholds)[:, None]
    gained = (is_called & is_positive).mean(axis=1)
    harmed = (is_called & ~is_positive).mean(axis=1)
    return np.asarray(gained - harmed * thresholds / (1 - thresholds), np.float64)


def net_benefit_of_all(
    is_positive: NDArray[np.bool_], thresholds: NDArray[np.floating] = DECISION_THRESHOLDS
) -> NDArray[np.float64]:
    """Net benefit of acting on everybody."""
    return net_benefit(np.ones(len(is_positive)), is_positive, thresholds)
