"""Stored activation maps as pictures."""

from dataclasses import dataclass

import numpy as np

from classifier.choices import ClassificationOutcome
from classifier.models import Classification, Explanation, InstanceScore
from ml.explanation import describe_evidence, judge_finding, measure_evidence
from ml.images import encode_png
from ml.overlay import render_activation
from records.files.pixels import draw_frame

MAX_SIDE = 1024
"""Longest side of a picture: the cells of a map are far coarser, and the page stretches it."""


@dataclass(frozen=True)
class Overlay:
    """A map as a translucent PNG over the whole image, and what it says."""

    picture: bytes
    peak: float
    words: str


def draw_overlay(explanation: Explanation, label: str) -> Overlay | None:
    """Draw the map of a finding; None where none is kept, and for the label that says "normal".

    Stored maps are scaled to their own maximum; here each is brought to the scale of probability.
    Raises NothingToShow, NoSuchFrame, StoredFileMissing and StoredFileDamaged.
    """
    classification, instance = explanation.classification, explanation.instance
    version = classification.model_version
    grid = explanation.activation_maps.get(label)
    if grid is None or version is None or not version.is_finding(label):
        return None
    evidence = measure_evidence(
        np.asarray(grid, np.float32),
        probability=_probability_on(explanation, label),
        shown=draw_frame(instance, explanation.frame),
    )
    judgement = judge_label(classification, label)
    words = describe_evidence(
        version.display_of(label),
        evidence,
        judgement=judgement,
        is_unproven=version.has_unproven_maps,
    )
    sides = (instance.rows or 1, instance.columns or 1)
    part = min(1.0, MAX_SIDE / max(sides))
    size = (max(1, round(sides[0] * part)), max(1, round(sides[1] * part)))
    layer = render_activation(evidence.grid, size=size, body=evidence.body)
    return Overlay(encode_png(layer), evidence.peak, words)


def judge_label(classification: Classification, label: str) -> str:
    """What the answer makes of one finding: "", "indeterminate" or "not found"."""
    return judge_finding(
        classification.probabilities.get(label, 0.0),
        classification.threshold_of(label),
        is_indeterminate=classification.outcome == ClassificationOutcome.INDETERMINATE
        and label == classification.suspected_label,
    )


def _probability_on(explanation: Explanation, label: str) -> float:
    """The label's probability on this very frame, or else in the study."""
    score = InstanceScore.objects.filter(
        classification=explanation.classification_id,
        instance=explanation.instance_id,
        frame=explanation.frame,
    ).first()
    found = (score or explanation.classification).probabilities
    return float(found.get(label, 0.0))
