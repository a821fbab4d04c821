"""The bridge to `ml`: from a claimed row to an answer, outside any transaction.

The one module of this app that imports `ml`, and with it (only when a model is opened) the
inference engine.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.conf import settings

from classifier.errors import BundleRefused, BundleUnavailable, InferenceFailed
from classifier.models import Abstention, Deployment, ModelVersion
from classifier.models.classifications import ABSTENTION_SENTENCES
from classifier.routing import task_for_series
from classifier.services.runs import Answer, Claim, FrameResult
from ml.bundles import MODEL_CARD, find_bundles, load_bundle
from ml.errors import MLError
from ml.images import Frame, encode_png
from ml.overlay import render_activation
from ml.predictor import FramePrediction, Predictor, open_predictor
from records.models import Instance, Study
from records.pixels import iter_frames

KeepAlive = Callable[[], object]

MAP_DECIMALS = 3
SCORE_DECIMALS = 6
"""Scores are stored rounded, so that the same image gives the same stored score everywhere."""


@dataclass(frozen=True)
class BundleDescription:
    """What the registry keeps of a bundle on disk."""

    task: str
    version: str
    digest: str
    stage: str
    manifest: dict[str, Any]
    model_card: str


@dataclass
class Reading:
    """The frames of a study as the network saw them; the first list runs beside the second."""

    places: list[tuple[UUID, int]] = field(default_factory=list)
    predictions: list[FramePrediction] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    decode_seconds: float = 0.0
    predict_seconds: float = 0.0


def answer_for(claim: Claim, *, keep_alive: KeepAlive) -> Answer:
    """Read the study's images, run the live model on them and draw the conclusion.

    `keep_alive` is called between batches. Raises BundleUnavailable and InferenceFailed.
    """
    version = Deployment.objects.live_version(claim.task)
    if version is None:
        reason = Abstention.NO_DEPLOYED_MODEL
        return Answer(abstention=reason, abstention_reason=ABSTENTION_SENTENCES[reason])
    predictor = _predictor_for(version)
    study = Study.objects.get(pk=claim.study_id)
    reading = Reading()
    try:
        for batch in _batches(_frames_of(study, claim.task, reading)):
            keep_alive()
            _predict(predictor, batch, reading)
    except MLError as error:
        raise InferenceFailed(code=error.code, reason=error.message, remedy=error.action) from error
    return _conclude(predictor, version, reading)


def find_bundle_paths(root: Path) -> list[Path]:
    """Every folder under `root` that says it is a bundle."""
    return find_bundles(root)


def describe_bundle(path: Path) -> BundleDescription:
    """Verify one bundle. Raises BundleRefused for one that was changed or is not whole."""
    try:
        bundle = load_bundle(path)
    except MLError as error:
        name = f"{path.parent.name} {path.name}"
        raise BundleRefused(bundle=name, reason=error.message) from error
    return BundleDescription(
        task=bundle.task,
        version=bundle.version,
        digest=bundle.digest,
        stage=bundle.manifest.stage,
        manifest=asdict(bundle.manifest),
        model_card=(path / MODEL_CARD).read_text(),
    )


def draw_overlay(grid: list[list[float]], instance: Instance) -> bytes:
    """A stored activation map as a translucent PNG of the image's own size."""
    size = (instance.rows or 1, instance.columns or 1)
    return encode_png(render_activation(np.asarray(grid, dtype=np.float32), size=size))


def _predictor_for(version: ModelVersion) -> Predictor:
    path = Path(settings.BUNDLE_DIR) / version.task / version.version
    try:
        predictor = _open_predictor(str(path), version.digest, settings.INFERENCE_DEVICE)
    except MLError as error:
        raise BundleUnavailable(
            task=version.task, version=version.version, reason=error.message
        ) from error
    if predictor.bundle.digest != version.digest:
        raise BundleUnavailable(
            task=version.task,
            version=version.version,
            reason="the bundle on this machine is not the one that was registered.",
        )
    return predictor


@lru_cache(maxsize=6)
def _open_predictor(path: str, _digest: str, device: str) -> Predictor:
    """One open network per bundle and process; the digest keys it, so that a new one is read."""
    return open_predictor(path, device=device)


def _frames_of(study: Study, task: str, reading: Reading) -> Iterator[tuple[UUID, int, Frame]]:
    for instance in Instance.objects.of_study(study).classifiable():
        if task_for_series(instance.series, study) != task:
            continue
        reading.hashes.append(instance.sha256)
        started = time.perf_counter()
        for number, frame in enumerate(iter_frames(instance), start=1):
            reading.decode_seconds += time.perf_counter() - started
            yield instance.pk, number, frame
            started = time.perf_counter()


def _batches(
    frames: Iterator[tuple[UUID, int, Frame]],
) -> Iterator[list[tuple[UUID, int, Frame]]]:
    batch = []
    for entry in frames:
        batch.append(entry)
        if len(batch) == settings.INFERENCE_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _predict(predictor: Predictor, batch: list[tuple[UUID, int, Frame]], reading: Reading) -> None:
    started = time.perf_counter()
    reading.predictions += predictor.predict([frame for _, _, frame in batch])
    reading.places += [(pk, number) for pk, number, _ in batch]
    reading.predict_seconds += time.perf_counter() - started


def _conclude(predictor: Predictor, version: ModelVersion, reading: Reading) -> Answer:
    seen = list(zip(reading.places, reading.predictions, strict=True))
    used = [(place, found) for place, found in seen if found.abstention is None]
    common: dict[str, Any] = {
        "model_version": version,
        "runtime": predictor.runtime.name,
        "aggregation": predictor.bundle.manifest.aggregation,
        "input_hashes": reading.hashes,
        "timings": {
            "decode_seconds": round(reading.decode_seconds, 4),
            "predict_seconds": round(reading.predict_seconds, 4),
        },
        "notes": _notes(seen, used),
    }
    if not used:
        return Answer(**common, **_abstention(seen))
    conclusion = predictor.conclude([found for _, found in used])
    return Answer(
        **common,
        label=conclusion.label,
        probabilities=_rounded(conclusion.probabilities),
        confidence=conclusion.confidence,
        frames=_frame_results(used, conclusion.deciding_frame),
    )


def _abstention(seen: list[tuple[tuple[UUID, int], FramePrediction]]) -> dict[str, Any]:
    first = next((found.abstention for _, found in seen if found.abstention), None)
    if first is None:
        reason = Abstention.NO_IMAGE
        return {"abstention": reason, "abstention_reason": ABSTENTION_SENTENCES[reason]}
    return {"abstention": Abstention(first.code), "abstention_reason": first.reason}


def _notes(
    seen: list[tuple[tuple[UUID, int], FramePrediction]],
    used: list[tuple[tuple[UUID, int], FramePrediction]],
) -> list[str]:
    """Say which images an answer leaves out, and why."""
    left_out = len(seen) - len(used)
    if not used or not left_out:
        return []
    reasons = sorted({found.abstention.reason for _, found in seen if found.abstention})
    return [f"{left_out} of {len(seen)} images were left out. {' '.join(reasons)}"]


def _frame_results(
    entries: list[tuple[tuple[UUID, int], FramePrediction]], deciding: int
) -> list[FrameResult]:
    return [
        FrameResult(
            instance_id=instance_id,
            frame=frame,
            probabilities=_rounded(found.probabilities),
            activation_maps={
                label: np.round(grid.astype(float), MAP_DECIMALS).tolist()
                for label, grid in found.activation_maps.items()
            },
            is_deciding=position == deciding,
        )
        for position, ((instance_id, frame), found) in enumerate(entries)
    ]


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {label: round(value, SCORE_DECIMALS) for label, value in probabilities.items()}
