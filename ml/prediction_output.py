"""What `predict` prints for a file: an answer, an abstention with its reason, or an error."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml.abstention import Abstention
from ml.aggregation import Outcome, StudyPrediction
from ml.errors import MLError
from ml.images import Frame
from ml.predictor import FramePrediction, Predictor, collect_notes
from ml.router import Routing, compare_routing

OUTCOME_WORDS = MappingProxyType(
    {
        Outcome.FINDING: "finding",
        Outcome.NO_FINDING: "no finding",
        Outcome.BELOW_OPERATING_POINT: "below its operating point, most probable",
        Outcome.INDETERMINATE: "indeterminate, suspected",
    }
)
# Digits that are the same on both engines; more would promise a precision there isn't.
DIGITS = 4


def describe_error(path: Path, error: MLError, predictor: Predictor) -> dict[str, Any]:
    """A file that could not be answered; `predictor` is the one that would have looked first."""
    return {
        "path": str(path),
        "error": {"code": error.code, "message": error.message, "action": error.action},
        "model_digest": predictor.bundle.digest,
    }


def describe_predictions(
    predictor: Predictor,
    path: Path,
    frames: Sequence[Frame],
    predictions: Sequence[FramePrediction],
    *,
    routing: Routing | None = None,
) -> dict[str, Any]:
    """The answer of a file whose frames were predicted; a sure routing elsewhere withholds it.

    Frames out of scope are left out as long as another frame can answer. `deciding_frame` counts
    all frames of the file, from 0.
    """
    used = [row for row, found in enumerate(predictions) if found.abstention is None]
    kept = used or list(range(len(predictions)))
    study = predictor.conclude([predictions[row] for row in kept])
    deciding = kept[study.deciding_frame]
    abstention = None if used else predictions[deciding].abstention
    if routing and (other := compare_routing(predictor.bundle.task, routing)):
        abstention = Abstention(other.code, other.reason)
    return {
        "path": str(path),
        **_describe_study(predictor, study, abstention),
        "notes": [] if abstention else collect_notes(predictions[row] for row in kept),
        "frames": len(frames),
        "deciding_frame": deciding,
        **_describe_model(predictor),
    }


def describe_unrouted(
    router: Predictor,
    path: Path,
    frames: Sequence[Frame],
    prediction: FramePrediction,
    abstention: Abstention,
    *,
    row: int,
) -> dict[str, Any]:
    """A file that no task's model was asked about: what the router made of the frame `row`."""
    return {
        "path": str(path),
        **_describe_study(router, router.conclude([prediction]), abstention),
        "notes": [],
        "frames": len(frames),
        "deciding_frame": row,
        **_describe_model(router),
    }


def describe_routing(router: Predictor, routing: Routing) -> dict[str, Any]:
    """What the router saw, in plain values."""
    return {
        "label": routing.label,
        "task": routing.task,
        "probability": round(routing.probability, DIGITS),
        "is_sure": routing.is_sure,
        "model_digest": router.bundle.digest,
    }


def _describe_study(
    predictor: Predictor, study: StudyPrediction, abstention: Abstention | None
) -> dict[str, Any]:
    """The answer, which an abstention withholds; the probabilities stand there either way."""
    described = {"code": abstention.code, "reason": abstention.reason} if abstention else None
    outcome = Outcome.ABSTAINED if abstention else study.outcome
    is_indeterminate = outcome == Outcome.INDETERMINATE
    return {
        "task": predictor.bundle.task,
        "outcome": outcome.value,
        "label": None if abstention else study.label,
        "suspected_label": None if abstention else study.suspected_label,
        "confidence": None if abstention else study.confidence,
        "probabilities": {name: round(p, DIGITS) for name, p in study.probabilities.items()},
        "abstained": abstention is not None,
        "abstention": described,
        "indeterminate": is_indeterminate,
        "indeterminate_reason": study.doubt if is_indeterminate else "",
    }


def _describe_model(predictor: Predictor) -> dict[str, Any]:
    bundle = predictor.bundle
    return {
        "stage": bundle.stage,
        "model_version": bundle.version,
        "model_digest": bundle.digest,
        "engine": predictor.runtime.name,
    }


def format_line(answer: dict[str, Any]) -> str:
    """The same as one line for people."""
    if "error" in answer:
        return f"{answer['path']}: {answer['error']['code']}: {answer['error']['message']}"
    scores = ", ".join(f"{name} {value:.3f}" for name, value in answer["probabilities"].items())
    if answer["abstained"]:
        shown = f" ({scores})" if scores else ""
        return f"{answer['path']}: abstained: {answer['abstention']['reason']}{shown}"
    named = answer["label"] or answer["suspected_label"]
    said = f"{OUTCOME_WORDS[answer['outcome']]}: {named}"
    return f"{answer['path']}: {said} ({answer['confidence']}; {scores})"
