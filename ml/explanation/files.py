"""What `explain` makes of a file: a map of each label, a picture to look at, and a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.bundles import HEAD, KERAS_MODEL
from ml.errors import ExplanationUnavailable
from ml.explanation.activation import scale_maps
from ml.explanation.occlusion import occlude
from ml.explanation.sanity import SanityFigures, check_maps
from ml.images import Frame, read_frames, to_display
from ml.overlay import render_activation
from ml.prediction_output import describe_predictions
from ml.predictor import FramePrediction, Predictor
from ml.preprocessing import prepare_frame

Floats = NDArray[np.float32]

DIGITS = 4
# Longest side of the pictures: enough to look at, small enough to send.
MAX_PICTURE_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Explained:
    """One file's answer in plain values, and the picture of the label asked for (H x W x 3)."""

    answer: dict[str, Any]
    label: str
    picture: NDArray[np.uint8]


def _explain_by_cam(predictor: Predictor, frame: Frame, prediction: FramePrediction) -> Floats:
    return np.stack([prediction.activation_maps[label] for label in predictor.bundle.labels])


def _explain_by_occlusion(predictor: Predictor, frame: Frame, _: FramePrediction) -> Floats:
    return scale_maps(occlude(predictor.runtime, _prepare(predictor, frame)))


def _explain_by_gradients(predictor: Predictor, frame: Frame, _: FramePrediction) -> Floats:
    from ml.explanation import gradients

    network = gradients.load_network(predictor.bundle.path / KERAS_MODEL)
    opened = gradients.open_layers(network, logits=gradients.LOGITS, features=gradients.FEATURES)
    inputs = _prepare(predictor, frame)[np.newaxis]
    return scale_maps(gradients.measure_gradient_support(opened, inputs)[0])


METHODS: dict[str, Callable[[Predictor, Frame, FramePrediction], Floats]] = {
    "cam": _explain_by_cam,
    "occlusion": _explain_by_occlusion,
    "gradcam": _explain_by_gradients,
}


def explain_file(predictor: Predictor, path: Path, *, label: str | None, method: str) -> Explained:
    """Explain the file's deciding frame, for the label given or the likeliest one.

    Raises what `read_frames` raises, and ExplanationUnavailable for an unknown label.
    """
    labels = predictor.bundle.labels
    if label is not None and label not in labels:
        raise ExplanationUnavailable(method=method, detail=f"there is no label {label}")
    frames = read_frames(path)
    predictions = predictor.predict(frames)
    answer = describe_predictions(predictor, path, frames, predictions)
    index = answer["deciding_frame"]
    frame, prediction = frames[index], predictions[index]
    scores = prediction.probabilities
    shown_label = label or max(scores, key=lambda name: scores[name])
    maps = METHODS[method](predictor, frame, prediction)
    if frame.is_constant:
        maps = np.zeros_like(maps)
    answer |= {"method": method, "explained_label": shown_label, "maps": _list_maps(labels, maps)}
    return Explained(answer, shown_label, _draw(frame, maps[labels.index(shown_label)]))


def check_files(predictor: Predictor, paths: Sequence[Path]) -> SanityFigures:
    """The sanity figures of the bundle's maps on the first frames of these files."""
    from ml.explanation import gradients

    frames = [read_frames(path, frames=[0])[0] for path in paths]
    with np.load(predictor.bundle.path / HEAD, allow_pickle=False) as head:
        kernel = head["kernel"]
    network = gradients.load_network(predictor.bundle.path / KERAS_MODEL)
    inputs = [_prepare(predictor, frame) for frame in frames if not frame.is_constant]
    if not inputs:
        raise ExplanationUnavailable(method="the sanity tests", detail="every image is blank")
    return check_maps(predictor.runtime, kernel, network, np.stack(inputs))


def _prepare(predictor: Predictor, frame: Frame) -> Floats:
    return prepare_frame(frame, predictor.bundle.manifest.input)


def _list_maps(labels: Sequence[str], maps: Floats) -> dict[str, list[list[float]]]:
    rounded = np.round(maps.astype(np.float64), DIGITS)
    return {label: rows.tolist() for label, rows in zip(labels, rounded, strict=True)}


def _draw(frame: Frame, activation: Floats) -> NDArray[np.uint8]:
    """The image as it is, and beside it the same under its map."""
    image = Image.fromarray(to_display(frame)).convert("RGB")
    image.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    layer = Image.fromarray(render_activation(activation, size=(image.height, image.width)))
    covered = image.copy()
    covered.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    return np.concatenate([np.asarray(image), np.asarray(covered)], axis=1)
