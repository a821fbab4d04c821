"""What `explain` makes of a file: a map of each label, a picture to look at, and a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.bundles import HEAD
from ml.errors import ExplanationUnavailable
from ml.explanation.activation import scale_maps
from ml.explanation.evidence import (
    Evidence,
    describe_evidence,
    judge_finding,
    measure_evidence,
)
from ml.explanation.occlusion import occlude
from ml.images import Frame, read_frames, to_display
from ml.manifest import Manifest, is_unproven
from ml.overlay import render_activation
from ml.predictor import FramePrediction, Predictor
from ml.preprocessing import prepare_frame
from ml.workshop.explanation.sanity import SanityFigures, check_maps
from ml.workshop.prediction_output import describe_predictions

Floats = NDArray[np.float32]

DIGITS = 4
# Longest side of the pictures: enough to look at, small enough to send.
MAX_PICTURE_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Explained:
    """One file's answer in plain values, and the picture of the label asked for (H x W x 3).

    `words` say what the picture shows, as the study page does.
    """

    answer: dict[str, Any]
    label: str
    words: str
    picture: NDArray[np.uint8]


def _explain_by_cam(predictor: Predictor, frame: Frame, prediction: FramePrediction) -> Floats:
    return np.stack([prediction.activation_maps[label] for label in predictor.bundle.labels])


def _explain_by_occlusion(predictor: Predictor, frame: Frame, _: FramePrediction) -> Floats:
    return scale_maps(occlude(predictor.runtime, _prepare(predictor, frame)))


def _explain_by_gradients(predictor: Predictor, frame: Frame, _: FramePrediction) -> Floats:
    from ml.runtimes.keras_network import load_network
    from ml.workshop.explanation import gradients

    network = load_network(predictor.bundle.path)
    opened = gradients.open_layers(network, logits=gradients.LOGITS, features=gradients.FEATURES)
    inputs = _prepare(predictor, frame)[np.newaxis]
    return scale_maps(gradients.measure_gradient_support(opened, inputs)[0])


METHODS: dict[str, Callable[[Predictor, Frame, FramePrediction], Floats]] = {
    "cam": _explain_by_cam,
    "occlusion": _explain_by_occlusion,
    "gradcam": _explain_by_gradients,
}


def explain_file(predictor: Predictor, path: Path, *, label: str | None, method: str) -> Explained:
    """Explain the file's deciding frame, for the label given or the likeliest finding.

    The maps are on the scale of probability. The normal label has none: what speaks for "normal"
    at a place would look like a finding there. Raises what `read_frames` raises, and
    ExplanationUnavailable for an unknown label and the normal one.
    """
    manifest = predictor.bundle.manifest
    findings = _list_findings(manifest, label, method)
    frames = read_frames(path)
    predictions = predictor.predict(frames)
    answer = describe_predictions(predictor, path, frames, predictions)
    frame, prediction = (found[answer["deciding_frame"]] for found in (frames, predictions))
    scores = prediction.probabilities
    shown_label = label or max(findings, key=lambda name: scores[name])
    maps = METHODS[method](predictor, frame, prediction)
    if frame.is_constant:
        maps = np.zeros_like(maps)
    shown = to_display(frame)
    evidence = {
        name: measure_evidence(
            maps[manifest.labels.index(name)], probability=scores[name], shown=shown
        )
        for name in findings
    }
    judgement = judge_finding(
        answer["probabilities"][shown_label],
        manifest.operating.thresholds.get(shown_label),
        is_indeterminate=answer["indeterminate"] and answer["suspected_label"] == shown_label,
    )
    words = describe_evidence(
        shown_label, evidence[shown_label], judgement=judgement, is_unproven=is_unproven(manifest)
    )
    answer |= {"method": method, "explained_label": shown_label, "explanation": words}
    answer["maps"] = {name: _list_map(found) for name, found in evidence.items()}
    return Explained(answer, shown_label, words, _draw(shown, evidence[shown_label]))


def _list_findings(manifest: Manifest, label: str | None, method: str) -> list[str]:
    """All labels but the normal one; raises ExplanationUnavailable if `label` is none of them."""
    findings = [name for name in manifest.labels if name != manifest.normal_label]
    if label is not None and label not in findings:
        is_known = label in manifest.labels
        detail = f"{label} is no finding" if is_known else f"there is no label {label}"
        raise ExplanationUnavailable(method=method, detail=detail)
    return findings


def check_files(predictor: Predictor, paths: Sequence[Path]) -> SanityFigures:
    """The sanity figures of the bundle's maps on the first frames of these files."""
    from ml.runtimes.keras_network import load_network

    frames = [read_frames(path, frames=[0])[0] for path in paths]
    with np.load(predictor.bundle.path / HEAD, allow_pickle=False) as head:
        kernel = head["kernel"]
    network = load_network(predictor.bundle.path)
    inputs = [_prepare(predictor, frame) for frame in frames if not frame.is_constant]
    if not inputs:
        raise ExplanationUnavailable(method="the sanity tests", detail="every image is blank")
    return check_maps(predictor.runtime, kernel, network, np.stack(inputs))


def _prepare(predictor: Predictor, frame: Frame) -> Floats:
    return prepare_frame(frame, predictor.bundle.manifest.input)


def _list_map(evidence: Evidence) -> list[list[float]]:
    rounded: list[list[float]] = np.round(evidence.grid.astype(np.float64), DIGITS).tolist()
    return rounded


def _draw(shown: NDArray[np.uint8], evidence: Evidence) -> NDArray[np.uint8]:
    """The image as it is, and beside it the same under its map."""
    image = Image.fromarray(shown).convert("RGB")
    image.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    size = (image.height, image.width)
    layer = Image.fromarray(render_activation(evidence.grid, size=size, body=evidence.body))
    covered = image.copy()
    covered.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    return np.concatenate([np.asarray(image), np.asarray(covered)], axis=1)
