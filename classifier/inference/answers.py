"""From a study's images to what is written of them: a route, an answer, or why there is none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from classifier.answers import Answer, Claim, FrameResult, Routed
from classifier.choices import Abstention
from classifier.headlines import in_sentence
from classifier.inference.bundles import Router, live_router, predictor_for
from classifier.inference.looks import (
    SeriesLook,
    disagreement,
    name_of,
    record_looks,
    source_of,
)
from classifier.inference.reading import KeepAlive, Place, Reading, read_study
from classifier.inference.sources import is_source_validated
from classifier.models import Deployment, ModelVersion
from classifier.models.classifications import ABSTENTION_SENTENCES, CHOSEN_SENTENCE
from classifier.routing import open_series, possible_tasks, tasks_for_series
from classifier.task_registry import TASK_TITLES
from ml.abstention import Abstention as FrameAbstention
from ml.abstention import check_source
from ml.aggregation import StudyPrediction
from ml.predictor import FramePrediction, Predictor, collect_notes
from ml.series import describe_tally
from ml.study import arrange
from records.models import Series, Study

MAP_DECIMALS = 3
SCORE_DECIMALS = 6
"""Scores are stored rounded, so that the same image gives the same stored score everywhere."""

Entry = tuple[Place, FramePrediction]


@dataclass(frozen=True)
class Doubt:
    """Why a series with a silent header is not given to the task that it looks like."""

    abstention: Abstention
    reason: str


def answer_for(claim: Claim, *, keep_alive: KeepAlive) -> Answer:
    """Read the study's images, run the live model on them and draw the conclusion.

    Beside it the body-part model, where one is in use, looks at the same frames: what it surely
    takes for another kind of image is not answered. `keep_alive` is called between batches.
    Raises BundleUnavailable and InferenceFailed.
    """
    version = Deployment.objects.live_version(claim.task)
    if version is None:
        return _without_answer(Abstention.NO_DEPLOYED_MODEL)
    predictor, router = predictor_for(version), live_router()
    study = Study.objects.get(pk=claim.study_id)
    reading = read_study(
        study,
        wanted=lambda series: (
            str(series.pk) in claim.chosen_series or claim.task in tasks_for_series(series, study)
        ),
        predictor=predictor,
        router=router,
        keep_alive=keep_alive,
    )
    answer = _conclude(predictor, version, _compared(reading, claim), reading)
    answer = _withheld(answer, predictor, study, reading)
    return replace(
        answer,
        routing=_routing_of(reading, claim, router),
        notes=[*_notes_on_routing(answer, reading, claim), *answer.notes],
    )


def route_study(claim: Claim, *, keep_alive: KeepAlive) -> Routed | Answer:
    """Find the tasks that the images of a study with a silent header are for.

    Without any, the answer says why: they look like something that no model reads, like
    something that the header rules out, or like nothing for sure. Raises BundleUnavailable and
    InferenceFailed.
    """
    router = live_router()
    if router is None:
        return _without_answer(Abstention.NO_TASK)
    study = Study.objects.get(pk=claim.study_id)
    silent = {str(series.pk): series for series in open_series(study)}
    reading = read_study(
        study,
        wanted=lambda series: str(series.pk) in silent,
        predictor=None,
        router=router,
        keep_alive=keep_alive,
    )
    looks = reading.looks
    if not looks:
        return _without_answer(Abstention.NO_IMAGE)
    doubts = {look.series_id: _doubt_about(silent[look.series_id], look) for look in looks}
    chosen = [look for look in looks if doubts[look.series_id] is None]
    record = record_looks(looks, router=router, task="", chosen=[look.series_id for look in chosen])
    if chosen:
        return Routed(
            tasks=tuple(dict.fromkeys(str(look.routing.task) for look in chosen)), routing=record
        )
    doubt = next(found for found in doubts.values() if found)
    return Answer(
        abstention=doubt.abstention,
        abstention_reason=doubt.reason,
        routing=record,
        input_hashes=reading.hashes,
        notes=_notes_on_looks(looks),
        timings=_timings(reading),
    )


def _without_answer(reason: Abstention) -> Answer:
    return Answer(abstention=reason, abstention_reason=ABSTENTION_SENTENCES[reason])


def _doubt_about(series: Series, look: SeriesLook) -> Doubt | None:
    """Why `series` can't be given to the task it looks like; None when it can."""
    routing = look.routing
    if not routing.is_sure:
        reason = Abstention.ROUTE_UNSURE
        return Doubt(reason, ABSTENTION_SENTENCES[reason])
    seen = name_of(routing)
    if routing.task not in TASK_TITLES:
        return Doubt(
            Abstention.NO_TASK,
            f"The image looks like {seen}. No model looks at images of that kind.",
        )
    if routing.task not in possible_tasks(series):
        said = " ".join(part for part in (series.modality, series.body_part_examined) if part)
        return Doubt(
            Abstention.ROUTED_ELSEWHERE, f"The header says {said}, the image looks like {seen}."
        )
    return None


def _compared(reading: Reading, claim: Claim) -> list[Entry]:
    """The predictions, with an abstention on those that surely show another kind of image.

    A series that as a whole looks like something else is out altogether; of one that doesn't,
    only the frames that do.
    """
    entries = list(zip(reading.places, reading.predictions, strict=True))
    if not reading.routings:
        return entries
    verdicts = {look.series_id: look.routing for look in reading.looks}
    compared = []
    for (place, found), routing in zip(entries, reading.routings, strict=True):
        source = source_of(place.series, claim.chosen_series)
        reason = disagreement(claim.task, verdicts[str(place.series.pk)], source) or disagreement(
            claim.task, routing, source
        )
        if reason:
            abstention = FrameAbstention(Abstention.ROUTED_ELSEWHERE.value, reason)
            found = replace(found, abstention=abstention)
        compared.append((place, found))
    return compared


def _routing_of(reading: Reading, claim: Claim, router: Router | None) -> dict[str, Any]:
    if router is None or not reading.looks:
        return {}
    return record_looks(reading.looks, router=router, task=claim.task, chosen=claim.chosen_series)


def _conclude(
    predictor: Predictor, version: ModelVersion, seen: Sequence[Entry], reading: Reading
) -> Answer:
    series = _by_series(seen)
    found = predictor.conclude_study([[one for _, one in entries] for entries in series])
    ordered = [entry for entries in series for entry in entries]
    used = [entry for entry, reason in zip(ordered, found.reasons, strict=True) if reason is None]
    answer = Answer(
        model_version=version,
        runtime=predictor.runtime.name,
        aggregation=predictor.bundle.manifest.aggregation,
        input_hashes=reading.hashes,
        timings=_timings(reading),
        notes=_notes_on_left_out(found.reasons),
    )
    conclusion = found.prediction
    if conclusion is None or found.abstention is not None:
        return replace(answer, **_abstention(found.abstention))
    return replace(
        answer,
        outcome=conclusion.outcome.value,
        label=conclusion.label or "",
        suspected_label=conclusion.suspected_label or "",
        probabilities=_rounded(conclusion.probabilities),
        confidence=conclusion.confidence,
        tally=_tally(conclusion, version),
        notes=[
            *_notes_on_diseases(conclusion, version),
            *collect_notes(one for _, one in used),
            *answer.notes,
        ],
        frames=_frame_results(used, conclusion.deciding_frame),
    )


def _by_series(seen: Sequence[Entry]) -> list[list[Entry]]:
    """The images of each series in order of position, each pass over its slices by itself."""
    series: dict[Any, list[Entry]] = {}
    for place, found in seen:
        series.setdefault(place.series.pk, []).append((place, found))
    return [
        [entries[row] for row in rows]
        for entries in series.values()
        for rows in arrange([place.position for place, _ in entries])
    ]


def _tally(conclusion: StudyPrediction, version: ModelVersion) -> dict[str, Any]:
    """How many of several images say so, with the sentence for staff; {} of a single one."""
    tally = conclusion.tally
    if tally is None:
        return {}
    words = describe_tally(
        tally,
        in_sentence(version.display_of(tally.label)),
        is_normal=not version.is_finding(tally.label),
    )
    return {**asdict(tally), "words": words}


def _withheld(answer: Answer, predictor: Predictor, study: Study, reading: Reading) -> Answer:
    """The same without a label, where the model counts for its own source only and this is another.

    The probabilities stay, without the images and maps that would say it all the same.
    """
    version = answer.model_version
    if answer.abstention is not None or version is None or not version.is_own_source_only:
        return answer
    is_validated = is_source_validated(version, study, reading.places)
    found = check_source(predictor.bundle.manifest, is_validated=is_validated)
    if found is None:
        return answer
    return replace(
        answer,
        outcome="",
        label="",
        suspected_label="",
        confidence="",
        tally={},
        notes=[],
        frames=[],
        abstention=Abstention(found.code),
        abstention_reason=found.reason,
    )


def _timings(reading: Reading) -> dict[str, float]:
    return {
        "decode_seconds": round(reading.decode_seconds, 4),
        "predict_seconds": round(reading.predict_seconds, 4),
    }


def _abstention(reason: FrameAbstention | None) -> dict[str, Any]:
    if reason is None:
        none = Abstention.NO_IMAGE
        return {"abstention": none, "abstention_reason": ABSTENTION_SENTENCES[none]}
    return {"abstention": Abstention(reason.code), "abstention_reason": reason.reason}


def _notes_on_routing(answer: Answer, reading: Reading, claim: Claim) -> list[str]:
    """Say that the image decided, or what it was taken for instead."""
    if answer.abstention == Abstention.ROUTED_ELSEWHERE:
        return _notes_on_looks(reading.looks)
    return [CHOSEN_SENTENCE] if claim.chosen_series else []


def _notes_on_looks(looks: Sequence[SeriesLook]) -> list[str]:
    return [look.sentence for look in looks]


def _notes_on_left_out(reasons: Sequence[FrameAbstention | None]) -> list[str]:
    """Say how many images an answer leaves out, for each reason."""
    counted = Counter(reason.reason for reason in reasons if reason is not None)
    if not counted or counted.total() == len(reasons):
        return []
    return [
        f"{count} of {len(reasons)} images were left out. {reason}"
        for reason, count in sorted(counted.items())
    ]


def _notes_on_diseases(conclusion: StudyPrediction, version: ModelVersion) -> list[str]:
    """Which diseases passed beside the label, or are too close to call, in words of staff."""
    notes = [conclusion.also_passed, conclusion.doubt]
    for label in version.labels:
        words = in_sentence(version.display_of(label))
        notes = [note.replace(f" of {label} (", f" of {words} (") for note in notes]
    return [note for note in notes if note]


def _frame_results(entries: Sequence[Entry], deciding: int) -> list[FrameResult]:
    return [
        FrameResult(
            instance_id=place.instance_id,
            frame=place.frame,
            probabilities=_rounded(found.probabilities),
            activation_maps={
                label: np.round(grid.astype(float), MAP_DECIMALS).tolist()
                for label, grid in found.activation_maps.items()
            },
            is_deciding=position == deciding,
        )
        for position, (place, found) in enumerate(entries)
    ]


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {label: round(value, SCORE_DECIMALS) for label, value in probabilities.items()}
