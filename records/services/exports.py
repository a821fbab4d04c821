"""De-identified copies: asked for, held back until a person has looked, handed out."""

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.audit import record_event
from accounts.choices import Outcome
from accounts.errors import KnownError
from accounts.models import User
from accounts.roles import Verb
from records.choices import Action, ExportState, StudyState
from records.dicom.deidentification import Options, Rectangle
from records.doorbell import ring
from records.errors import (
    ExportAcrossDepartments,
    ExportExpired,
    ExportHoldUnknown,
    ExportHoldUnseen,
    ExportNotAllowed,
    ExportNotHeld,
    ExportNotReady,
    ExportOfOpenStudy,
    ExportStudyDeleted,
    ExportStudyMoved,
    ExportTooLarge,
    RegionOutside,
)
from records.files.stores import ensure_store
from records.models import Export, ExportHold, ExportHoldSight, Instance, Study
from records.querysets import ExportQuerySet
from records.services.export_files import remove_export_file

TASK = "records.tasks.prepare_next_export"
QUEUE = "exports"


@transaction.atomic
def request_export(
    *,
    actor: User,
    studies: Sequence[Study],
    project: str,
    purpose: str,
    options: Options,
    is_queued: bool = True,
) -> Export:
    """Ask for a de-identified copy of complete studies of one department.

    A caller that prepares the copy itself, whatever its size, says that it isn't queued. Raises
    ExportNotAllowed, ExportAcrossDepartments, ExportOfOpenStudy and ExportTooLarge.
    """
    studies = _lock_studies(actor, studies)
    department_id = _check_studies(studies)
    if is_queued:
        _check_size(studies)
    export = Export.objects.create(
        department_id=department_id,
        project=" ".join(project.split()),
        purpose=purpose.strip(),
        retain_dates=options.retain_dates,
        retain_device=options.retain_device,
        retain_patient=options.retain_patient,
        requested_by=actor,
        touched_at=None if is_queued else timezone.now(),
    )
    export.studies.set(studies)
    record_exported(export, actor=actor, step="requested")
    if is_queued:
        transaction.on_commit(ring_for_exports, robust=True)
    return export


@transaction.atomic
def clear_export(
    *, actor: User, export: Export, decisions: Mapping[UUID, Sequence[Rectangle]]
) -> Export:
    """Record what a person saw in images held back: for each, the rectangles to blacken, if any.

    `decisions` goes by the holds' ids; the last decision sets the export going again. Each frame
    of the images must have been drawn for the actor (`note_hold_seen`). Raises ExportNotAllowed,
    ExportNotHeld, ExportHoldUnknown, ExportHoldUnseen and RegionOutside.
    """
    export = _lock(actor, export)
    if export.state != ExportState.HELD:
        raise ExportNotHeld
    waiting = {
        hold.pk: hold for hold in export.holds.filter(decided_at=None).select_related("instance")
    }
    if not decisions or not set(decisions) <= set(waiting):
        raise ExportHoldUnknown
    _check_seen(actor, [waiting[pk] for pk in decisions])
    now = timezone.now()
    for pk, rectangles in decisions.items():
        _decide(waiting[pk], actor, rectangles)
    remaining = len(waiting) - len(decisions)
    if not remaining:
        export.state = ExportState.PREPARING
        export.cleared_by, export.cleared_at, export.touched_at = actor, now, None
        transaction.on_commit(ring_for_exports, robust=True)
    export.save(update_fields=["state", "cleared_by", "cleared_at", "touched_at"])
    record_event(
        action=Action.EXPORT_CLEARED,
        actor=actor,
        target=export,
        department_id=export.department_id,
        details={
            "images": [str(waiting[pk].instance_id) for pk in decisions],
            "blackened": sum(bool(rectangles) for rectangles in decisions.values()),
            "remaining": remaining,
        },
    )
    return export


def note_hold_seen(*, actor: User, hold: ExportHold, frame: int) -> None:
    """Note that a frame of an image held back was drawn for a person.

    The caller has recorded that they looked at the study.
    """
    ExportHoldSight.objects.bulk_create(
        [ExportHoldSight(hold=hold, user=actor, frame=frame)], ignore_conflicts=True
    )


def withdraw_exports(*, actor: User | None, study: Study, error: KnownError | None = None) -> int:
    """Give up the copies of a study that goes away, their files included; return how many.

    `error` says why, without it that the study is deleted. They stay given up when it comes back:
    somebody has to ask again. The caller holds the study's lock and the transaction.
    """
    error = error or ExportStudyDeleted()
    due = Export.objects.unfinished_of(study).select_for_update(no_key=True, of=("self",))
    return sum(_withdraw(actor, export, study, error) for export in due.order_by("pk"))


def _withdraw(actor: User | None, export: Export, study: Study, error: KnownError) -> bool:
    name = str(export.file.name or "")
    export.state, export.file = ExportState.FAILED, ""
    export.failure_code, export.failure = error.code, f"{error.message} {error.action}"
    export.save(update_fields=["state", "file", "failure_code", "failure"])
    record_event(
        action=Action.EXPORT_BLOCKED,
        actor=actor,
        target=export,
        study=study,
        outcome=Outcome.MINOR_FAILURE,
        details={"reason": error.code, "sha256": export.sha256},
    )
    if name:
        transaction.on_commit(lambda: remove_export_file(name))
    return True


@transaction.atomic
def hand_out_export(*, actor: User, export: Export) -> Export:
    """Note that somebody takes the copy away.

    Raises ExportNotAllowed, ExportNotReady, ExportExpired, ExportStudyDeleted and
    ExportStudyMoved.
    """
    export = _lock(actor, export)
    for gone in (ExportStudyDeleted, ExportStudyMoved):
        if export.failure_code == gone.code:
            raise gone
    if export.state == ExportState.EXPIRED:
        raise ExportExpired
    if export.state != ExportState.READY:
        raise ExportNotReady
    record_exported(export, actor=actor, step="taken")
    return export


def claim_export() -> Export | None:
    """Take the copy that waits longest, or whose worker died; None when there is none.

    One that is too large for a worker is left to whoever asked for it by command.
    """
    with transaction.atomic():
        waiting = _waiting().select_for_update(skip_locked=True, no_key=True, of=("self",))
        export = waiting.order_by(F("touched_at").asc(nulls_first=True), "requested_at").first()
        if export is not None:
            export.touched_at = timezone.now()
            export.save(update_fields=["touched_at"])
    return export


def sweep_exports() -> bool:
    """Ring where a copy waits whose worker died or whose bell was lost; False when none does.

    Raises StoreUnavailable: none can be made while the store is away.
    """
    ensure_store()
    if not _waiting().exists():
        return False
    ring_for_exports()
    return True


def _waiting() -> ExportQuerySet:
    before = timezone.now() - dt.timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT)
    return Export.objects.of_kept_studies().waiting(before=before)


def postpone_export(*, export_id: UUID | str) -> None:
    """Let an export wait for the store: the sweeper rings for it again as if nobody had come."""
    Export.objects.filter(pk=export_id, state=ExportState.PREPARING).update(touched_at=None)


def expire_exports() -> int:
    """Remove the files of copies that have been there long enough; return how many.

    A copy lies outside the store's hashes, holds and retention, so it doesn't stay for good.
    """
    if not settings.EXPORT_KEPT_DAYS:
        return 0
    before = timezone.now() - dt.timedelta(days=settings.EXPORT_KEPT_DAYS)
    due = Export.objects.outdated(before=before).values_list("pk", flat=True)
    return sum(_expire(pk, before) for pk in due)


@transaction.atomic
def _expire(pk: UUID, before: dt.datetime) -> bool:
    locked = Export.objects.outdated(before=before).select_for_update(no_key=True)
    export = locked.filter(pk=pk).first()
    if export is None:
        return False
    name = str(export.file.name)
    export.state, export.file = ExportState.EXPIRED, ""
    export.save(update_fields=["state", "file"])
    record_event(
        action=Action.EXPORT_EXPIRED,
        actor=None,
        target=export,
        department_id=export.department_id,
        details={"project": export.project, "sha256": export.sha256},
    )
    transaction.on_commit(lambda: remove_export_file(name))
    return True


def ring_for_exports() -> bool:
    """Ask a worker to prepare the copy that waits longest."""
    return ring(task=TASK, queue=QUEUE)


def record_exported(export: Export, *, actor: User, step: str) -> None:
    """One event for each study: asked for, made, or taken away."""
    for study in export.studies.order_by("pk"):
        record_event(
            action=Action.STUDY_EXPORTED,
            actor=actor,
            target=export,
            study=study,
            details={
                "step": step,
                "project": export.project,
                "purpose": export.purpose,
                "images": export.image_count,
                "sha256": export.sha256,
            },
        )


def _lock_studies(actor: User, wanted: Sequence[Study]) -> list[Study]:
    """Lock the studies against deletion until the export stands; raises ExportNotAllowed."""
    locked = Study.objects.exportable_by(actor).select_for_update(no_key=True)
    ids = {study.pk for study in wanted}
    studies = list(locked.filter(pk__in=ids).order_by("pk"))
    if not studies or len(studies) != len(ids):
        raise ExportNotAllowed
    return studies


def _check_studies(studies: Sequence[Study]) -> UUID:
    if len({study.department_id for study in studies}) > 1:
        raise ExportAcrossDepartments
    if any(study.state != StudyState.COMPLETE for study in studies):
        raise ExportOfOpenStudy
    return studies[0].department_id


def _check_size(studies: Sequence[Study]) -> None:
    count = Instance.objects.filter(series__study__in=studies).count()
    if count > settings.EXPORT_MAX_IMAGES:
        raise ExportTooLarge(count=count, limit=settings.EXPORT_MAX_IMAGES)


def _lock(actor: User, export: Export) -> Export:
    if not actor.has_verb_in(Verb.STUDY_EXPORT, export.department_id):
        raise ExportNotAllowed
    locked = Export.objects.select_for_update(no_key=True).get(pk=export.pk)
    if locked.studies.deleted().exists():
        raise ExportNotAllowed
    return locked


def _check_seen(actor: User, holds: Sequence[ExportHold]) -> None:
    sights = ExportHoldSight.objects.filter(user=actor, hold__in=holds)
    seen = set(sights.values_list("hold", "frame"))
    unseen = sum(any((hold.pk, frame) not in seen for frame in hold.frames) for hold in holds)
    if unseen:
        raise ExportHoldUnseen(count=unseen)


def _decide(hold: ExportHold, actor: User, rectangles: Sequence[Rectangle]) -> None:
    columns, rows = hold.instance.columns or 0, hold.instance.rows or 0
    if not all(one.is_inside(columns=columns, rows=rows) for one in rectangles):
        raise RegionOutside(columns=columns, rows=rows)
    hold.blackened = [one.as_list() for one in rectangles]
    hold.decided_by, hold.decided_at = actor, timezone.now()
    hold.save(update_fields=["blackened", "decided_by", "decided_at"])
