"""Objects of DICOM on their way in, and what is told of each to whoever sent it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from accounts.models import Department, User
from records.choices import NOT_HELD, Origin
from records.errors import FileRejected, IntakeFailed
from records.files.spool import Readable
from records.models import Study, Submission, SubmissionFile
from records.services.receiving import NamedFile, receive_each
from records.services.reception import Judged, ObjectUids
from records.services.submissions import close_submission, open_submission


@dataclass(frozen=True, slots=True)
class IncomingObject:
    """One object as it arrives, with the UIDs that its first bytes seem to say.

    `refusal` is why there is nothing of it to read.
    """

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    stream: Readable
    refusal: FileRejected | None = None


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """The verdict on an object that was sent, and its UIDs, "" where nobody could read them."""

    file: SubmissionFile
    sop_class_uid: str
    sop_instance_uid: str


def store_objects(
    *,
    actor: User,
    department: Department,
    objects: Iterable[IncomingObject],
    study_instance_uid: str = "",
    expected_instances: int | None = None,
    origin: Origin = Origin.STOW,
    is_routed: bool = False,
) -> list[StoreOutcome]:
    """Take objects into one submission and close it, also when the sender breaks off.

    Objects of another study than `study_instance_uid`, if given, are refused. Their studies
    are whole where each holds `expected_instances` now; else they are complete once idle.
    Raises DepartmentUnknown, TooManyInOneRequest, IntakeFailed, and whatever `objects` raises.
    """
    submission = open_submission(
        actor=actor, department=department, origin=origin, is_routed=is_routed
    )
    is_whole = is_lacking = False
    try:
        outcomes = _take_all(actor, submission, objects, study_instance_uid)
        is_whole = expected_instances is not None and _holds(submission, expected_instances)
    except IntakeFailed:
        is_lacking = True
        raise
    finally:
        close_submission(
            actor=actor, submission=submission, is_whole=is_whole, is_lacking=is_lacking
        )
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
            yield incoming.name, incoming.refusal or incoming.stream
            seen.append(incoming)

    received = receive_each(
        actor=actor, submission=submission, files=named(), study_instance_uid=study_instance_uid
    )
    pairs = zip(seen, received, strict=True)
    return [
        _outcome(incoming, judged, is_only=len(verdicts) == 1)
        for incoming, verdicts in pairs
        for judged in verdicts
    ]


def _outcome(incoming: IncomingObject, judged: Judged, *, is_only: bool) -> StoreOutcome:
    """By the header of the object; else by the first bytes of the part, if it held but one."""
    uids: ObjectUids | IncomingObject | None = judged.uids or (incoming if is_only else None)
    if uids is None:
        return StoreOutcome(judged.file, "", "")
    return StoreOutcome(judged.file, uids.sop_class_uid, uids.sop_instance_uid)


def _holds(submission: Submission, expected: int) -> bool:
    held = submission.files.exclude(verdict__in=NOT_HELD).values("study")
    counts = Study.objects.filter(pk__in=held).values_list("instance_count", flat=True)
    return bool(counts) and all(count >= expected for count in counts)
