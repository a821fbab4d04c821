"""Where the images of a study come from, and whether somebody answers for the model there."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from classifier.choices import SourceKind
from classifier.inference.reading import Place
from classifier.models import ModelVersion, SourceValidation
from records.choices import Verdict
from records.models import Study, SubmissionFile


@dataclass(frozen=True)
class Source:
    """What is known of where an image comes from; texts as they are compared, empty if unknown."""

    department_id: UUID
    institution: str
    station: str
    calling_ae_titles: frozenset[str]


def is_source_validated(version: ModelVersion, study: Study, places: Iterable[Place]) -> bool:
    """Whether every image that was read comes from a source that this version was validated on.

    One image from elsewhere leaves the study unanswered, and so does one of which nothing is known.
    """
    standing = list(SourceValidation.objects.standing().filter(model_version=version))
    sources = _sources_of(study, places) if standing else set()
    return bool(sources) and all(
        any(_covers(statement, source) for statement in standing) for source in sources
    )


def _sources_of(study: Study, places: Iterable[Place]) -> set[Source]:
    seen = {(place.instance_id, place.institution, place.station) for place in places}
    titles = _titles_by_instance({instance for instance, *_ in seen})
    return {
        Source(
            department_id=study.department_id,
            institution=fold(institution),
            station=fold(station),
            calling_ae_titles=frozenset(titles.get(instance, ())),
        )
        for instance, institution, station in seen
    }


def _titles_by_instance(instances: set[UUID]) -> dict[UUID, set[str]]:
    """The registered nodes that sent the very files that are held."""
    sent = SubmissionFile.objects.filter(instance__in=instances, verdict=Verdict.STORED)
    named = sent.exclude(submission__calling_ae_title="")
    titles: dict[UUID, set[str]] = {}
    for instance, title in named.values_list("instance_id", "submission__calling_ae_title"):
        titles.setdefault(instance, set()).add(title)
    return titles


def _covers(statement: SourceValidation, source: Source) -> bool:
    match statement.kind:
        case SourceKind.DEPARTMENT:
            return statement.department_id == source.department_id
        case SourceKind.INSTITUTION:
            return fold(statement.value) == source.institution
        case SourceKind.STATION:
            return fold(statement.value) == source.station
        case _:
            return statement.value in source.calling_ae_titles


def fold(name: str) -> str:
    """A name as it is compared: without case, and spaces alike."""
    return " ".join(name.split()).casefold()
