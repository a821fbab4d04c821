"""A submission from its first file to its end."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.audit import record_event
from accounts.models import Department, User
from accounts.outages import is_database_outage
from records.choices import NOT_HELD, Action, Origin, Priority, StudyState, SubmissionState, Verdict
from records.dicom.reading.declared import DeclaredFields, check_declared
from records.errors import HARMLESS_CODES, DepartmentRequired, IntakeFailed, TooManyInOneRequest
from records.files.spool import check_room, remove_leftovers
from records.files.stores import ensure_store
from records.models import Study, Submission
from records.services.receiving import NamedFile, check_may_submit, receive_files
from records.services.refusals import MORE_REFUSED, record_counted
from records.services.reservations import check_submissions
from records.services.studies import complete_study
from records.services.uploads import settle_uploads

logger = logging.getLogger(__name__)

PIECEMEAL_ORIGINS = frozenset({Origin.STOW, Origin.DIMSE})
"""Doors that say nothing of where a study ends, unless the sender declares it."""


@transaction.atomic
def open_submission(
    *,
    actor: User | None,
    department: Department | None,
    origin: Origin,
    priority: Priority = Priority.ROUTINE,
    declared: DeclaredFields | None = None,
    is_routed: bool = False,
    calling_ae_title: str = "",
) -> Submission:
    """Start a batch of files for one department; `actor` is None for the system itself.

    `is_routed` says that the rules chose the department: they are asked about every file then.
    `calling_ae_title` names the registered DICOM node that sends.
    Raises DepartmentRequired, DepartmentUnknown and InvalidField, StorageLow and StoreUnavailable
    before anybody has sent a byte for nothing, and TooManyUnfinished.
    """
    if department is None:
        raise DepartmentRequired
    check_room()
    declared = check_declared(declared or DeclaredFields())
    submission = Submission(
        department=department,
        created_by=actor,
        origin=origin,
        priority=priority,
        declared=declared.as_json(),
        is_routed=is_routed,
        calling_ae_title=calling_ae_title,
    )
    check_may_submit(actor, submission)
    if actor is not None:
        check_submissions(actor)
    submission.save()
    record_event(
        action=Action.SUBMISSION_OPENED,
        actor=actor,
        target=submission,
        department_id=department.pk,
        details={
            "origin": submission.origin,
            "priority": submission.priority,
            "declared": sorted(submission.declared),
            **({"is_routed": True} if is_routed else {}),
        },
    )
    return submission


@transaction.atomic
def close_submission(
    *,
    actor: User | None,
    submission: Submission,
    is_whole: bool = True,
    is_lacking: bool = False,
) -> Submission:
    """End a batch: decide its state, and complete every study that got new images by it.

    A door by which studies come in pieces passes `is_whole=False`: its studies are complete once
    they have been idle (`complete_idle_studies`). A batch that is closed already stays as it is.
    Files of which only a part has come are listed as not sent; `is_lacking` says that one wasn't
    taken by our own fault, which has no verdict. Raises IntakeFailed, and UploadBusy while bytes of
    one arrive.
    """
    check_may_submit(actor, submission)
    submission = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
    if submission.state != SubmissionState.RECEIVING:
        return submission
    settle_uploads(submission=submission)
    counts = _count_verdicts(submission)
    counts["refused"] += record_counted(actor=actor, submission=submission)
    is_short = is_lacking or counts["refused"] > 0
    submission.state = _decide_state(held=counts["held"], is_short=is_short)
    submission.closed_at = timezone.now()
    submission.save(update_fields=["state", "closed_at"])
    record_event(
        action=Action.SUBMISSION_CLOSED,
        actor=actor,
        target=submission,
        department_id=submission.department_id,
        details={
            "state": submission.state,
            **counts,
            **({"is_lacking": True} if is_lacking else {}),
        },
    )
    if is_whole:
        for study in _studies_to_complete(submission):
            complete_study(actor=actor, study=study)
    return submission


def submit_study(
    *,
    actor: User | None,
    department: Department | None,
    files: Iterable[Path | NamedFile],
    declared: DeclaredFields | None = None,
    priority: Priority = Priority.ROUTINE,
    origin: Origin = Origin.API,
    keep_open: bool = False,
    is_routed: bool = False,
) -> Submission:
    """Open a submission, take `files` into it (paths, or names with streams) and close it.

    With `keep_open` more files may follow, and the sender closes it. Verdicts that were only
    counted are in `unlisted`. Raises TooManyInOneRequest, and IntakeFailed where a file couldn't be
    taken by our own fault: what came before is kept then, and its studies are complete once they
    are idle.
    """
    submission = open_submission(
        actor=actor,
        department=department,
        origin=origin,
        priority=priority,
        declared=declared,
        is_routed=is_routed,
    )
    try:
        verdicts = receive_files(actor=actor, submission=submission, files=_opened(files))
    except (TooManyInOneRequest, IntakeFailed) as error:
        is_lacking = isinstance(error, IntakeFailed)
        close_submission(actor=actor, submission=submission, is_whole=False, is_lacking=is_lacking)
        raise
    if not keep_open:
        submission = close_submission(actor=actor, submission=submission)
    submission.unlisted = [verdict for verdict in verdicts if verdict._state.adding]
    return submission


def touch_submission(*, submission: Submission) -> None:
    """Note that the sender of a batch is still there, though it sends nothing at the moment."""
    still_open = Submission.objects.filter(pk=submission.pk, state=SubmissionState.RECEIVING)
    still_open.update(touched_at=timezone.now())


def sweep_submissions() -> int:
    """Close the batches that their senders left, so that what was stored is used.

    Returns how many. One that can't be closed is logged, tried again the next time, and
    holds up no other. Temporary files of processes that died go too. Raises StoreUnavailable.
    """
    ensure_store()
    now = timezone.now()
    abandoned = Submission.objects.abandoned(
        before=now - settings.INTAKE_ABANDONED_AFTER,
        associations_before=now - settings.DICOM_ABANDONED_AFTER,
    )
    closed = 0
    for submission in abandoned:
        try:
            is_whole = submission.origin not in PIECEMEAL_ORIGINS
            close_submission(actor=None, submission=submission, is_whole=is_whole)
            closed += 1
        except Exception as error:
            if is_database_outage(error):
                raise
            logger.exception("Submission %s can't be closed", submission.pk)
    remove_leftovers(older_than=settings.INTAKE_ABANDONED_AFTER)
    return closed


def _count_verdicts(submission: Submission) -> dict[str, int]:
    not_counted = Q(code__in=[*HARMLESS_CODES, MORE_REFUSED])
    return submission.files.aggregate(
        held=Count("pk", filter=~Q(verdict__in=NOT_HELD)),
        refused=Count("pk", filter=Q(verdict=Verdict.REJECTED) & ~not_counted),
        left_out=Coalesce(Sum("count", filter=Q(verdict=Verdict.LEFT_OUT)), 0),
    )


def _decide_state(*, held: int, is_short: bool) -> SubmissionState:
    if not held:
        return SubmissionState.REJECTED
    return SubmissionState.PARTLY_STORED if is_short else SubmissionState.STORED


def _studies_to_complete(submission: Submission) -> list[Study]:
    """Every open study that this batch holds files of, in an order in which locks can't cross.

    Files held already count too: who sends a batch again after a broken connection says that
    the study is whole, and must not wait for the sweeper.
    """
    held = submission.files.exclude(verdict__in=NOT_HELD).values("study")
    return list(Study.objects.filter(pk__in=held, state=StudyState.OPEN).order_by("pk"))


def _opened(files: Iterable[Path | NamedFile]) -> Iterator[NamedFile]:
    for source in files:
        if isinstance(source, Path):
            with source.open("rb") as stream:
                yield source.name, stream
        else:
            yield source
