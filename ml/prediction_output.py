"""What `predict` prints for a file: an answer, an abstention with its reason, or an error."""

from pathlib import Path
from typing import Any

from ml.errors import MLError
from ml.images import read_frames
from ml.predictor import Predictor

# Digits that are the same on both engines; more would promise a precision there isn't.
DIGITS = 4


def describe_file(predictor: Predictor, path: Path) -> dict[str, Any]:
    """One file as a study of its own, in plain values; a known error becomes its code."""
    try:
        predictions = predictor.predict(read_frames(path))
    except MLError as error:
        return {
            "path": str(path),
            "error": {"code": error.code, "message": error.message, "action": error.action},
            "model_digest": predictor.bundle.digest,
        }
    # Frames out of scope are left out as long as another frame can answer.
    used = [prediction for prediction in predictions if prediction.abstention is None]
    study = predictor.conclude(used or predictions)
    abstention = None if used else predictions[study.deciding_frame].abstention
    return {
        "path": str(path),
        "task": predictor.bundle.task,
        "label": None if abstention else study.label,
        "confidence": None if abstention else study.confidence,
        "probabilities": {name: round(p, DIGITS) for name, p in study.probabilities.items()},
        "abstained": abstention is not None,
        "abstention": (
            {"code": abstention.code, "reason": abstention.reason} if abstention else None
        ),
        "model_version": predictor.bundle.version,
        "model_digest": predictor.bundle.digest,
        "engine": predictor.runtime.name,
    }


def format_line(answer: dict[str, Any]) -> str:
    """The same as one line for people."""
    if "error" in answer:
        return f"{answer['path']}: {answer['error']['code']}: {answer['error']['message']}"
    scores = ", ".join(f"{name} {value:.3f}" for name, value in answer["probabilities"].items())
    if answer["abstained"]:
        return f"{answer['path']}: abstained: {answer['abstention']['reason']} ({scores})"
    return f"{answer['path']}: {answer['label']} ({answer['confidence']}; {scores})"
