"""Events of the classifier app in words: one sentence per action, for staff."""

from collections.abc import Mapping
from typing import Any

from accounts.actions import Sentence
from accounts.wording import fill_sentence
from classifier.choices import Action, Decision

REVIEWED = "{actor} recorded a review"
"""The sentence of a review that doesn't say what was decided."""

BY_DECISION: dict[str, str] = {
    Decision.CONFIRM: "{actor} confirmed: {finding}",
    Decision.OVERRIDE: "{actor} overrode the model ({model_finding}) and decided: {finding}",
    Decision.UNINTERPRETABLE: "{actor} decided: can't be assessed",
}
"""The sentence of a review, by what was decided."""

BY_DECISION_ALONE: dict[str, str] = {
    **BY_DECISION,
    Decision.OVERRIDE: "{actor} decided where the model had given no label: {finding}",
}
"""The same where the model had given no label."""


def describe_review(words: Mapping[str, Any]) -> str:
    """Return the sentence of a review, which depends on the decision."""
    sentences = BY_DECISION if words.get("model_label") else BY_DECISION_ALONE
    sentence = sentences.get(str(words.get("decision")), REVIEWED)
    return fill_sentence(sentence, {**words, **_findings(words)})


def _findings(words: Mapping[str, Any]) -> dict[str, str]:
    """The findings of a review in words; events of earlier releases hold their codes alone."""
    return {
        finding: str(words.get(display) or words.get(code) or "").replace("_", " ")
        for finding, display, code in (
            ("finding", "label_display", "label"),
            ("model_finding", "model_label_display", "model_label"),
        )
    }


SENTENCES: dict[str, Sentence] = {
    Action.CLASSIFICATIONS_LISTED: "{actor} listed the classifications",
    Action.CLASSIFICATION_QUEUED: "{actor} queued a classification",
    Action.CLASSIFICATION_STARTED: "A worker started the classification",
    Action.CLASSIFICATION_ROUTED: "The image itself decided the task: {tasks}",
    Action.CLASSIFICATION_COMPLETED: "The classification was completed",
    Action.CLASSIFICATION_ABSTAINED: "The model abstained",
    Action.CLASSIFICATION_FAILED: "The classification failed",
    Action.CLASSIFICATION_REQUEUED: "The classification went back into the queue: {reason}",
    Action.CLASSIFICATION_CANCELLED: "{actor} cancelled the classification",
    Action.CLASSIFICATION_SUPERSEDED: "A newer classification replaced this one",
    Action.FAILED_RERUN: "{actor} ran {count} failed classifications again: {code}",
    Action.CLASSIFICATION_VIEWED: "{actor} looked at a classification",
    Action.REVIEW_CREATED: describe_review,
    Action.REVIEW_DRAFTED: "{actor} began to write a review",
    Action.MODEL_REGISTERED: "{actor} registered a model",
    Action.MODEL_SIGNATURE_CHANGED: "The signature of a model changed",
    Action.MODEL_DEPLOYED: "{actor} deployed a model",
    Action.MODEL_SOURCE_VALIDATED: "{actor} stated that {task} {version} is validated for {source}",
    Action.MODEL_SOURCE_WITHDRAWN: (
        "{actor} withdrew the validation of {task} {version} for {source}: {reason}"
    ),
    Action.MODEL_CARRIED_OVER: "{version} took over {task}, as it answers alike: {reason}",
}

TARGET_WORDS: dict[str, str] = {
    "modelversion": "Model",
}
"""What people call the kinds of targets whose names in code aren't words."""
