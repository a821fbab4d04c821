"""Objects of DICOM on their way in, each known by its UIDs before it has come whole."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from accounts.models import Department, User
from records.errors import FileRejected, OtherStudy
from records.intake.storage import Readable
from records.models import NOT_HELD, Origin, Study, Submission, SubmissionFile
from records.services.receiving import NamedFile, Source, receive_each
from records.services.submissions import close_submission, open_submission


@dataclass(frozen=True, slots=True)
class IncomingObject:
    """One object as it arrives; `refusal` is why there is nothing of it to read."""

    name: str
    study_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    stream: Readable
    refusal: FileRejected | None = None


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """An object that was sent, and the verdict on it."""

    incoming: IncomingObject
    file: SubmissionFile


def store_objects(
    *,
    actor: User,
    department: Department,
    objects: Iterable[IncomingObject],
    study_instance_uid: str = "",
    expected_instances: int | None = None,
    origin: Origin = Origin.STOW,
) -> list[StoreOutcome]:
    """Take objects into one submission and close it, also when the sender breaks off.

    Objects of another study than `study_instance_uid`, if given, are refused. Their studies
    are whole where each holds `expected_instances` now; else they are complete once idle.
    Raises DepartmentUnknown, TooManyInOneRequest, and whatever `objects` raises.
    """
    submission = open_submission(actor=actor, department=department, origin=origin)
    is_whole = False
    try:
        outcomes = _take_all(actor, submission, objects, study_instance_uid)
        is_whole = expected_instances is not None and _holds(submission, expected_instances)
    finally:
        close_submission(actor=actor, submission=submission, is_whole=is_whole)
    return outcomes


def _take_all(
    actor: User,
    submission: Submission,
    objects: Iterable[IncomingObject],
    study_instance_uid: str,
) -> list[StoreOutcome]:
    """Take objects as they come, those that are ready filed some at a time."""
    seen: list[IncomingObject] = []

    def named() -> Iterator[NamedFile]:
        for incoming in objects:
            yield incoming.name, _source_of(incoming, study_instance_uid)
            seen.append(incoming)

    received = receive_each(actor=actor, submission=submission, files=named())
    pairs = zip(seen, received, strict=True)
    return [StoreOutcome(incoming, file) for incoming, files in pairs for file in files]


def _source_of(incoming: IncomingObject, study_instance_uid: str) -> Source:
    if incoming.refusal is not None:
        return incoming.refusal
    if study_instance_uid and incoming.study_instance_uid != study_instance_uid:
        return OtherStudy()
    return incoming.stream


def _holds(submission: Submission, expected: int) -> bool:
    held = submission.files.exclude(verdict__in=NOT_HELD).values("study")
    counts = Study.objects.filter(pk__in=held).values_list("instance_count", flat=True)
    return bool(counts) and all(count >= expected for count in counts)
