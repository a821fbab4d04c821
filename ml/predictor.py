"""Runs a bundle on frames: probabilities, activation maps, and when not to answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.abstention import Abstention, check_distance, check_scope, describe_unknowns
from ml.aggregation import StudyPrediction
from ml.bundles import CANARY, EMBEDDINGS, HEAD, Bundle, load_bundle
from ml.calibration import softmax
from ml.distance import load_space
from ml.errors import CanaryMismatch
from ml.explanation import make_activation_maps
from ml.gate import GATE, Readings, join_features, load_gate
from ml.images import Frame
from ml.preprocessing import describe_window, prepare_display, show_frame
from ml.quality import check_quality, measure_quality
from ml.runtimes import (
    DEFAULT_THREADS,
    Runtime,
    RuntimeOutputs,
    open_map_runtime,
    open_runtime,
)
from ml.study import check_series, conclude_images, conclude_study, settle_hints
from ml.subjects import Subject, read_subject

Floats = NDArray[np.float32]

# Inputs held at once: bounds the memory that a long series takes.
CHUNK = 32


@dataclass(frozen=True, slots=True)
class FramePrediction:
    """One frame's answer.

    `probabilities` are calibrated and sum to 1; `activation_maps` are h x w in 0..1 over the whole
    frame, by label; `abstention` says why the answer must not be used, if so. `notes` are
    sentences to stand beside an answer that rests on it: limits that couldn't be applied, and the
    window that was read through.
    """

    probabilities: dict[str, float]
    activation_maps: dict[str, Floats]
    embedding: Floats
    logits: Floats
    distance: float
    abstention: Abstention | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyAnswer:
    """What is said of several images together.

    `prediction` is None where no image was answered; `abstention` says why it must not be used, if
    so. `reasons` say for each image, one series after another, why it was left out, if it was.
    """

    prediction: StudyPrediction | None
    abstention: Abstention | None
    reasons: Sequence[Abstention | None]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An image for the network, for its heat maps where their size is another, and its fault."""

    inputs: Floats
    larger: Floats | None
    complaint: Abstention | None


class Predictor:
    """An opened bundle with its runtime; one per process, used by one thread at a time.

    Where the manifest has heat maps made at another size, a second copy of the network runs at it.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime, *, threads: int = DEFAULT_THREADS) -> None:
        self.bundle = bundle
        self.runtime = runtime
        self._map_runtime = open_map_runtime(bundle, threads=threads)
        self._space = load_space(bundle.path / EMBEDDINGS)
        self._gate = load_gate(bundle.path / GATE)
        with np.load(bundle.path / HEAD, allow_pickle=False) as head:
            self._kernel: Floats = head["kernel"]

    def predict(
        self, frames: Sequence[Frame], subjects: Sequence[Subject] | None = None
    ) -> list[FramePrediction]:
        """Predictions in the order of the frames, whichever batches they are run in.

        `subjects` are what is known of each frame, one beside another; without them the frames'
        headers speak.

        >>> from ml.bundles import find_task_bundle
        >>> from ml.images import read_frames
        >>> predictor = open_predictor(find_task_bundle("ml/bundles", "brain-mri"), device="cpu")
        >>> (prediction,) = predictor.predict(read_frames("samples/brain-glioma/01.dcm"))
        >>> max(prediction.probabilities, key=prediction.probabilities.get)
        'glioma'
        >>> prediction.abstention is None  # else why this image must not be answered
        True
        """
        known = [read_subject(one.header) for one in frames] if subjects is None else subjects
        predictions: list[FramePrediction] = []
        for start in range(0, len(frames), CHUNK):
            chunk = frames[start : start + CHUNK]
            prepared = [self._prepare(one) for one in chunk]
            inputs = np.stack([one.inputs for one in prepared])
            outputs = self.runtime.predict(inputs)
            features = self._find_map_features(prepared, outputs)
            maps = [make_activation_maps(one, self._kernel) for one in features]
            readings = self._gate.measure(
                self._space, join_features(inputs, outputs), outputs.embeddings
            )
            predictions += [
                self._explain(
                    frame,
                    known[start + row],
                    prepared[row].complaint,
                    outputs,
                    maps[row],
                    readings,
                    row,
                )
                for row, frame in enumerate(chunk)
            ]
        return predictions

    def conclude(self, predictions: Sequence[FramePrediction]) -> StudyPrediction:
        """The study's answer by the bundle's aggregation rule and operating thresholds."""
        rows = [prediction.probabilities for prediction in predictions]
        return conclude_images(self.bundle.manifest, rows)

    def conclude_study(self, series: Sequence[Sequence[FramePrediction]]) -> StudyAnswer:
        """The answer to whole series, each in order of position, images left out among them.

        >>> from ml.bundles import find_task_bundle
        >>> from ml.images import read_frames
        >>> predictor = open_predictor(find_task_bundle("ml/bundles", "lung-ct"), device="cpu")
        >>> slices = [f"samples/lung-ct-malignant/0{number}.dcm" for number in range(1, 7)]
        >>> series = predictor.predict([read_frames(path)[0] for path in slices])
        >>> predictor.conclude_study([series[:1]]).prediction.label
        'malignant'
        >>> predictor.conclude_study([series]).abstention.code  # it was tested on single slices
        'series_not_validated'
        """
        settled = [settle_hints([found.abstention for found in one]) for one in series]
        rows = [
            [
                None if reason else found.probabilities
                for found, reason in zip(one, why, strict=True)
            ]
            for one, why in zip(series, settled, strict=True)
        ]
        manifest = self.bundle.manifest
        reasons = [reason for why in settled for reason in why]
        if all(reasons):
            return StudyAnswer(None, next((reason for reason in reasons if reason), None), reasons)
        return StudyAnswer(conclude_study(manifest, rows), check_series(manifest, rows), reasons)

    def _prepare(self, frame: Frame) -> _Prepared:
        manifest = self.bundle.manifest
        shown = show_frame(frame, manifest.input)
        inputs = prepare_display(shown, manifest.input)
        larger = None
        if self._map_runtime is not None:
            larger = prepare_display(shown, replace(manifest.input, size=manifest.map_size))
        if manifest.quality is None:
            return _Prepared(inputs, larger, None)
        complaint = check_quality(measure_quality(shown, inputs), manifest.quality)
        return _Prepared(inputs, larger, complaint)

    def _find_map_features(
        self, prepared: Sequence[_Prepared], outputs: RuntimeOutputs
    ) -> Sequence[Floats]:
        """Each image's feature maps (h x w x C) at the size that its heat maps are made at."""
        if self._map_runtime is None:
            return list(outputs.feature_maps)
        return [
            self._map_runtime.predict(one.larger[np.newaxis]).feature_maps[0]
            for one in prepared
            if one.larger is not None
        ]

    def _explain(
        self,
        frame: Frame,
        subject: Subject,
        complaint: Abstention | None,
        outputs: RuntimeOutputs,
        maps: Floats,
        readings: Readings,
        row: int,
    ) -> FramePrediction:
        manifest, distance = self.bundle.manifest, float(readings.distances[row])
        scores = softmax(outputs.logits[row], temperature=manifest.temperature)
        if frame.is_constant:
            # Padding alone would draw a border.
            maps = np.zeros_like(maps)
        return FramePrediction(
            probabilities={
                label: float(score) for label, score in zip(manifest.labels, scores, strict=True)
            },
            activation_maps=dict(zip(manifest.labels, maps, strict=True)),
            embedding=outputs.embeddings[row],
            logits=outputs.logits[row],
            distance=distance,
            abstention=check_scope(frame, manifest, subject)
            or complaint
            or check_distance(distance, manifest, hint=readings.hints[row]),
            notes=(
                *describe_unknowns(subject, manifest.scope),
                *describe_window(frame, manifest.input),
            ),
        )


def collect_notes(predictions: Iterable[FramePrediction]) -> list[str]:
    """The notes of all frames, each once."""
    return list(dict.fromkeys(note for found in predictions for note in found.notes))


def open_predictor(
    path: Path | str, *, device: str = "auto", threads: int = DEFAULT_THREADS
) -> Predictor:
    """Load and verify a bundle, open its engine, and check that it gives the recorded scores.

    Raises BundleInvalid, BundleTampered, RuntimeUnavailable, CanaryMismatch.
    """
    return open_bundle(load_bundle(path), device=device, threads=threads)


def open_bundle(
    bundle: Bundle, *, device: str = "auto", threads: int = DEFAULT_THREADS
) -> Predictor:
    """Open a verified bundle's engine, and check that it gives the recorded scores.

    Raises RuntimeUnavailable, CanaryMismatch.
    """
    runtime = open_runtime(bundle, device=device, threads=threads)
    check_canary(bundle, runtime)
    return Predictor(bundle, runtime, threads=threads)


def check_canary(bundle: Bundle, runtime: Runtime) -> float:
    """Largest difference in probability to the scores recorded at export, on generated inputs.

    Raises CanaryMismatch when it exceeds the tolerance or a label changes.
    """
    with np.load(bundle.path / CANARY, allow_pickle=False) as canary:
        inputs, logits = canary["inputs"].astype(np.float32), canary["logits"]
    temperature = bundle.manifest.temperature
    expected = softmax(logits, temperature=temperature)
    found = softmax(runtime.predict(inputs).logits, temperature=temperature)
    difference = float(np.abs(found - expected).max())
    is_same = bool((found.argmax(axis=1) == expected.argmax(axis=1)).all())
    if not is_same or not difference <= bundle.manifest.parity.tolerance:
        raise CanaryMismatch(path=bundle.path, difference=f"{difference:.2g}")
    return difference
