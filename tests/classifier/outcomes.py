"""Answers of every outcome, by the manifest of `tests.factories`, for tests to complete with."""

from dataclasses import replace
from typing import Any

from classifier.answers import Answer
from classifier.choices import Abstention

OUTCOMES: dict[str, dict[str, Any]] = {
    "finding": {
        "label": "pneumonia",
        "probabilities": {"normal": 0.06, "pneumonia": 0.92, "tuberculosis": 0.02},
    },
    "flagged": {
        "suspected_label": "tuberculosis",
        "probabilities": {"normal": 0.61, "pneumonia": 0.07, "tuberculosis": 0.32},
    },
    "no_finding": {
        "label": "normal",
        "probabilities": {"normal": 0.97, "pneumonia": 0.02, "tuberculosis": 0.01},
    },
    "below_operating_point": {
        "suspected_label": "pneumonia",
        "probabilities": {"normal": 0.35, "pneumonia": 0.39, "tuberculosis": 0.26},
    },
    "indeterminate": {
        "suspected_label": "tuberculosis",
        "probabilities": {"normal": 0.61, "pneumonia": 0.08, "tuberculosis": 0.31},
    },
    "abstained": {
        "probabilities": {},
        "abstention": Abstention.WRONG_VIEW,
        "abstention_reason": "This is a lateral view.",
        "frames": [],
    },
}


def answer_of(answer: Answer, outcome: str) -> Answer:
    """The same answer with another outcome, and the probabilities that lead to it."""
    nothing = {"label": "", "suspected_label": ""}
    return replace(answer, outcome=outcome, **(nothing | OUTCOMES[outcome]))
