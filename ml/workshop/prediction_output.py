"""What `predict` prints for a file: an answer, an abstention with its reason, or an error."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml.abstention import Abstention, check_source
from ml.aggregation import Outcome, StudyPrediction
from ml.errors import MLError
from ml.images import Frame
from ml.predictor import FramePrediction, Predictor, collect_notes
from ml.router import Disagreement, Routing
from ml.series import describe_tally
from ml.study import arrange

OUTCOME_WORDS = MappingProxyType(
    {
        Outcome.FINDING: "finding",
        Outcome.FLAGGED: "can't be ruled out",
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
    elsewhere: Disagreement | None = None,
    is_source_validated: bool = False,
) -> dict[str, Any]:
    """The answer of a file whose frames were predicted; `elsewhere`, a sure look, withholds it.

    So does a model for its own source only, unless somebody answers for where the file comes from.
    The frames are one series; those out of scope are left out as long as another frame can answer.
    `deciding_frame` counts all frames of the file, from 0.
    """
    passes = arrange([frame.slice_position for frame in frames])
    places = [row for one in passes for row in one]
    answer = predictor.conclude_study([[predictions[row] for row in one] for one in passes])
    reasons = dict(zip(places, answer.reasons, strict=True))
    kept = [row for row in places if reasons[row] is None] or places
    study = answer.prediction or predictor.conclude([predictions[row] for row in kept])
    deciding = kept[study.deciding_frame]
    abstention = answer.abstention if answer.prediction else reasons[deciding]
    abstention = abstention or check_source(
        predictor.bundle.manifest, is_validated=is_source_validated
    )
    if elsewhere:
        abstention = Abstention(elsewhere.code, elsewhere.reason)
    return {
        "path": str(path),
        **_describe_study(predictor, study, abstention),
        "notes": [] if abstention else _collect_notes(study, [predictions[row] for row in kept]),
        "frames": len(frames),
        "tally": _describe_tally(predictor, study, abstention),
        "deciding_frame": deciding,
        **_describe_model(predictor),
    }


def _describe_tally(
    predictor: Predictor, study: StudyPrediction, abstention: Abstention | None
) -> dict[str, Any] | None:
    """How many of several frames say so; None of a single one, and where nothing is said."""
    if study.tally is None or abstention is not None:
        return None
    label = study.tally.label
    is_normal = label == predictor.bundle.manifest.normal_label
    words = describe_tally(study.tally, label, is_normal=is_normal)
    return asdict(study.tally) | {"words": words}


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
        "tally": None,
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
        "likeliest_label": None if abstention else study.likeliest_label,
        "confidence": None if abstention else study.confidence,
        "probabilities": {name: round(p, DIGITS) for name, p in study.probabilities.items()},
        "abstained": abstention is not None,
        "abstention": described,
        "indeterminate": is_indeterminate,
        "indeterminate_reason": study.doubt if is_indeterminate else "",
    }


def _collect_notes(study: StudyPrediction, used: Sequence[FramePrediction]) -> list[str]:
    """What has to be known beside the answer; what it leaves open stands there already."""
    doubt = "" if study.outcome == Outcome.INDETERMINATE else study.doubt
    return [note for note in (study.also_passed, doubt) if note] + collect_notes(used)


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
    named, likeliest = answer["label"] or answer["suspected_label"], answer["likeliest_label"]
    said = f"{OUTCOME_WORDS[answer['outcome']]}: {named}"
    if likeliest != named:
        said += f", likeliest {likeliest}"
    return f"{answer['path']}: {said} ({answer['confidence']}; {scores})"
