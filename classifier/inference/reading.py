"""The images of a study on their way through the networks, a batch at a time."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

from django.conf import settings

from classifier.errors import InferenceFailed
from classifier.inference.bundles import Router
from classifier.inference.looks import KINDS, SeriesLook, judge_series
from ml.errors import MLError
from ml.images import Frame
from ml.predictor import FramePrediction, Predictor
from ml.router import Routing, make_routing
from ml.subjects import Subject
from records.files.pixels import iter_frames
from records.models import Instance, Series, Study

KeepAlive = Callable[[], object]


@dataclass(frozen=True)
class Place:
    """Where a frame stands, and what is known of it; frames count from 1.

    `position` is that of the slice along its normal, in mm, where the image says it; `institution`
    and `station` are what its file says of where it was made.
    """

    series: Series
    instance_id: UUID
    frame: int
    subject: Subject
    position: float | None = None
    institution: str = ""
    station: str = ""


@dataclass
class Reading:
    """The frames of a study as the networks saw them; `places`, `predictions` and `routings` run
    beside one another.

    `predictions` stays empty without a predictor, `routings` and `looks` without a router. `looks`
    holds the router's verdict on each series, in the order in which they were read.
    """

    places: list[Place] = field(default_factory=list)
    predictions: list[FramePrediction] = field(default_factory=list)
    routings: list[Routing] = field(default_factory=list)
    looks: list[SeriesLook] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    decode_seconds: float = 0.0
    predict_seconds: float = 0.0


def read_study(
    study: Study,
    *,
    wanted: Callable[[Series], bool],
    predictor: Predictor | None,
    router: Router | None,
    keep_alive: KeepAlive,
) -> Reading:
    """Show the wanted series' frames to the networks; `keep_alive` is called between batches.

    Raises InferenceFailed.
    """
    reading = Reading()
    try:
        for batch in _batches(_frames_of(study, wanted, reading)):
            keep_alive()
            _show(batch, reading, predictor, router)
    except MLError as error:
        raise InferenceFailed(code=error.code, reason=error.message, remedy=error.action) from error
    reading.looks = _judge_each(reading)
    return reading


def _judge_each(reading: Reading) -> list[SeriesLook]:
    seen = zip(reading.places, reading.routings, strict=bool(reading.routings))
    grouped = groupby(seen, key=lambda entry: entry[0].series.pk)
    return [judge_series(str(pk), [one for _, one in entries]) for pk, entries in grouped]


def _frames_of(
    study: Study, wanted: Callable[[Series], bool], reading: Reading
) -> Iterator[tuple[Place, Frame]]:
    for instance in Instance.objects.of_study(study).classifiable():
        if not wanted(instance.series):
            continue
        reading.hashes.append(instance.sha256)
        subject = _subject_of(instance, study)
        started = time.perf_counter()
        for number, frame in enumerate(iter_frames(instance), start=1):
            reading.decode_seconds += time.perf_counter() - started
            place = Place(
                series=instance.series,
                instance_id=instance.pk,
                frame=number,
                subject=subject,
                position=frame.slice_position,
                institution=frame.header.get("InstitutionName", ""),
                station=frame.header.get("StationName", ""),
            )
            yield place, frame
            started = time.perf_counter()


def _subject_of(instance: Instance, study: Study) -> Subject:
    """What the product knows, corrections by people included, and not what the file once said."""
    return Subject(
        age=study.patient_age,
        sex=study.patient.sex,
        view=instance.view_position,
        body_part=instance.series.known_body_part,
        modality=instance.series.known_modality,
        descriptions=(instance.series.description, study.description),
    )


def _batches(frames: Iterable[tuple[Place, Frame]]) -> Iterator[list[tuple[Place, Frame]]]:
    batch = []
    for entry in frames:
        batch.append(entry)
        if len(batch) == settings.INFERENCE_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _show(
    batch: list[tuple[Place, Frame]],
    reading: Reading,
    predictor: Predictor | None,
    router: Router | None,
) -> None:
    started = time.perf_counter()
    frames = [frame for _, frame in batch]
    if predictor is not None:
        reading.predictions += predictor.predict(frames, [place.subject for place, _ in batch])
    if router is not None:
        seen = router.predictor.predict(frames)
        reading.routings += [
            make_routing(router.predictor, frame, prediction, KINDS)
            for frame, prediction in zip(frames, seen, strict=True)
        ]
    reading.places += [place for place, _ in batch]
    reading.predict_seconds += time.perf_counter() - started
