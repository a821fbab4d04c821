"""Whether the diseases that stay open and the health that is said hold on other images."""

import numpy as np
from numpy.typing import NDArray

from ml.aggregation import Outcome
from ml.conformal import list_open
from ml.limits import Clearance
from ml.manifest import Manifest
from ml.study import conclude_images
from ml.workshop.evaluation.operating import predictive_values
from ml.workshop.evaluation.scoring import Answers

Bools = NDArray[np.bool_]


def score_openness(answers: Answers, manifest: Manifest) -> dict[str, float]:
    """What became of a bundle's conformal sets on these images; nothing for one without.

    `coverage.<label>`: share of a disease's images on which it stays open or is given.
    `cleared`: share of the normal images that get the normal label; `npv`: its negative
    predictive value at the manifest's prevalence. Figures that no image asks for are left out.
    """
    conformal, labels, normal = manifest.conformal, manifest.labels, manifest.normal_label
    if conformal is None:
        return {}
    rows = [dict(zip(labels, map(float, row), strict=True)) for row in answers.probabilities]
    concluded = [conclude_images(manifest, [row]) for row in rows]
    figures: dict[str, float] = {}
    for label in conformal.lowest:
        named = [
            label == concluded[row].label or label in list_open(conformal, rows[row], normal)
            for row in np.flatnonzero(answers.targets == labels.index(label))
        ]
        if named:
            figures[f"coverage.{label}"] = float(np.mean(named))
    is_cleared = np.array([one.outcome == Outcome.NO_FINDING for one in concluded])
    is_normal = answers.targets == labels.index(normal)
    return figures | _score_health(is_cleared, is_normal, conformal.clearance)


def _score_health(
    is_cleared: Bools, is_normal: Bools, clearance: Clearance | None
) -> dict[str, float]:
    if not is_normal.any() or is_normal.all():
        return {}
    specificity = float(is_cleared[is_normal].mean())
    if clearance is None or not is_cleared.any():
        return {"cleared": specificity}
    recall = 1 - float(is_cleared[~is_normal].mean())
    _, npv = predictive_values(
        np.array([recall]), np.array([specificity]), prevalence=clearance.prevalence
    )
    return {"cleared": specificity, "npv": float(npv[0])}
