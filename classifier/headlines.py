"""What an answer amounts to, in the one sentence that every page, list and print shows."""

import datetime as dt
from dataclasses import dataclass

from classifier.choices import ClassificationOutcome, Decision
from classifier.models import Classification

DECIMALS = 2
MOST_DECIMALS = 6
CERTAIN = 0.995
"""From here on two decimals would say 1."""
NOT_ASSESSED = "Could not be assessed"
DECIDED = {
    Decision.CONFIRM: "Confirmed",
    Decision.OVERRIDE: "Overridden",
    Decision.UNINTERPRETABLE: "Decided",
}


@dataclass(frozen=True)
class Conclusion:
    """A person's word on a study: it stands before the model's wherever both are shown.

    `label` is empty for a study that couldn't be assessed; `by` is the reviewer's name.
    `is_finding` is true of any label but the model's normal one. `decision_words` say how the
    person came to it: "Overridden" only where the model had given an answer.
    """

    label: str
    label_display: str
    by: str
    at: dt.datetime
    decision: str
    decision_words: str
    is_finding: bool


def headline_of(classification: Classification) -> str:
    """The model's answer in a sentence; the state where there is none yet."""
    suspected = _named(classification, classification.suspected_label)
    match classification.outcome:
        case ClassificationOutcome.FINDING:
            others = _others_above(classification)
            return f"{classification.label_display}, above its operating point{others}"
        case ClassificationOutcome.FLAGGED:
            value, point = _apart(classification)
            name = classification.suspected_label_display
            sentence = f"{name} can't be ruled out ({value}, flagged from {point})"
            others = _others_above(classification)
            return f"{sentence}{_most_probable(classification)}{others}"
        case ClassificationOutcome.NO_FINDING:
            return "No finding passed its operating point"
        case ClassificationOutcome.BELOW_OPERATING_POINT:
            value, point = _apart(classification)
            return (
                f"No finding passed. Most probable: {suspected} {value} (operating point {point})"
            )
        case ClassificationOutcome.INDETERMINATE:
            return f"{_name_doubt(classification)}{_most_probable(classification)}"
        case ClassificationOutcome.ABSTAINED:
            return f"No result: {in_sentence(classification.get_abstention_display())}"
    return classification.waiting_sentence or classification.get_state_display()


def model_line_of(classification: Classification) -> str:
    """The model's answer in a few words, beside a person's: "Model: malignant 0.99, overridden"."""
    value = _in_figures(classification.probability or 0)
    suspected = f"{_named(classification, classification.suspected_label)} {value}"
    said: dict[str, str] = {
        ClassificationOutcome.FINDING: f"{_named(classification, classification.label)} {value}",
        ClassificationOutcome.FLAGGED: f"flagged {suspected}{_likeliest(classification)}",
        ClassificationOutcome.NO_FINDING: "no finding passed",
        ClassificationOutcome.BELOW_OPERATING_POINT: f"none passed, most probable {suspected}",
        ClassificationOutcome.INDETERMINATE: f"indeterminate, {suspected}",
        ClassificationOutcome.ABSTAINED: "no result",
    }
    line = f"Model: {said.get(classification.outcome, 'no result')}"
    if not (classification.is_reviewed and classification.may_be_confirmed):
        return line
    return f"{line}, {in_sentence(classification.get_state_display())}"


def conclusion_of(classification: Classification) -> Conclusion | None:
    """The decision of the person who signed; None while nobody has."""
    review = getattr(classification, "review", None)
    if review is None:
        return None
    return Conclusion(
        label=review.label,
        label_display=review.label_display or NOT_ASSESSED,
        by=review.reviewer.get_full_name() or review.reviewer.username,
        at=review.created_at,
        decision=review.decision,
        decision_words=_decision_in_words(classification, review.decision),
        is_finding=bool(review.label) and review.label != _normal_label(classification),
    )


def _decision_in_words(classification: Classification, decision: str) -> str:
    if decision == Decision.OVERRIDE and not classification.may_be_confirmed:
        return "Stated"
    return DECIDED[Decision(decision)]


def _normal_label(classification: Classification) -> str:
    version = classification.model_version
    return str(version.manifest["normal_label"]) if version else ""


def in_sentence(words: str) -> str:
    """Words as they stand inside a sentence: small, unless they begin with an abbreviation."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def _in_figures(probability: float) -> str:
    """Two decimals that never round to certainty, as the pages write it."""
    if probability >= CERTAIN:
        return "> 0.99"
    return "< 0.01" if probability < 1 - CERTAIN else f"{probability:.{DECIMALS}f}"


def _named(classification: Classification, label: str) -> str:
    return in_sentence(classification.words_for(label))


def _name_doubt(classification: Classification) -> str:
    """Why an answer is left open: at the operating point, or a disease that can't be ruled out."""
    suspected = _named(classification, classification.suspected_label)
    value, point = _apart(classification)
    version, label = classification.model_version, classification.suspected_label
    if (
        version
        and version.manifest.get("conformal")
        and not version.is_in_band(label, classification.probability or 0.0)
    ):
        return f"Indeterminate: {suspected} {value} can't be ruled out"
    return f"Indeterminate: {suspected} {value} lies at its operating point {point}"


def _apart(classification: Classification) -> tuple[str, str]:
    """The probability and its operating point, with as many decimals as tell them apart."""
    value, point = classification.probability or 0.0, classification.operating_point or 0.0
    for decimals in range(DECIMALS, MOST_DECIMALS):
        written = f"{value:.{decimals}f}", f"{point:.{decimals}f}"
        if written[0] != written[1]:
            return written
    return f"{value:.{DECIMALS}f}", f"{point:.{DECIMALS}f}"


def _others_above(classification: Classification) -> str:
    """The diseases above their own operating points that a more probable one would hide."""
    found = [
        f"{_named(classification, label)} {value:.{DECIMALS}f}"
        for label, value in classification.probabilities.items()
        if label != classification.named_label and classification.is_above_operating_point(label)
    ]
    return f". Also above its own: {', '.join(found)}" if found else ""


def _most_probable(classification: Classification) -> str:
    """The label that leads, unless it is the very one in question."""
    return f". Most probable: {said}" if (said := _said_of_leading(classification)) else ""


def _likeliest(classification: Classification) -> str:
    return f", most probable {said}" if (said := _said_of_leading(classification)) else ""


def _said_of_leading(classification: Classification) -> str:
    leading = classification.likeliest_label
    if leading == classification.suspected_label:
        return ""
    value = classification.probabilities[leading]
    return f"{_named(classification, leading)} {value:.{DECIMALS}f}"
