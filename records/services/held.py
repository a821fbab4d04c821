"""What is held already under the UIDs that come: in the department, or where the sender sees it."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.models import User
from accounts.roles import Verb
from records.errors import HeldByOtherDepartment, StudyDeleted
from records.models import Instance, Study, Submission


def check_not_deleted(study: Study) -> None:
    """Refuse to add to a study that somebody deleted: it has to be restored first.

    A study that was destroyed has given up its UIDs, so what comes after that is a new study.
    """
    if study.deleted_at is not None:
        raise StudyDeleted(
            study=study,
            day=date_format(localtime(study.deleted_at), "j M Y"),
            until=date_format(localtime(study.restorable_until), "j M Y"),
        )


def find_held(
    actor: User | None, submission: Submission, sop_instance_uids: Sequence[str]
) -> dict[str, Instance]:
    """Return the department's instances of those UIDs by UID, withheld or not.

    Raises HeldByOtherDepartment and StudyDeleted.
    """
    rows = Instance.with_withheld.select_related("series__study__patient")
    wanted = rows.filter(sop_instance_uid__in=sop_instance_uids)
    ours = wanted.filter(series__study__department=submission.department_id)
    held = {row.sop_instance_uid: row for row in ours}
    for instance in held.values():
        check_not_deleted(instance.series.study)
    others = _other_departments_of(actor, submission)
    elsewhere = wanted.exclude(sop_instance_uid__in=held).filter(
        series__study__deleted_at__isnull=True, series__study__department__in=others
    )
    _refuse_elsewhere(Study.objects.filter(series__instances__in=elsewhere) if others else None)
    return held


def check_not_elsewhere(
    actor: User | None, submission: Submission, *, study_instance_uid: str
) -> None:
    """Refuse a new study that the sender sees in another department: HeldByOtherDepartment."""
    others = _other_departments_of(actor, submission)
    rows = Study.objects.kept().filter(study_instance_uid=study_instance_uid)
    _refuse_elsewhere(rows.filter(department__in=others) if others else None)


def _refuse_elsewhere(studies: QuerySet[Study] | None) -> None:
    """Name the department that holds a study, the first by name of several."""
    if studies is None:
        return
    study = studies.select_related("department").order_by("department__name").first()
    if study is not None:
        department = study.department
        raise HeldByOtherDepartment(
            department=department.name, slug=department.slug, held_in=department
        )


def _other_departments_of(actor: User | None, submission: Submission) -> list[UUID]:
    """The departments besides a submission's whose studies its sender sees.

    Those alone may be named as holding a file: to anybody else the UID is as good as new, so that
    no answer tells what a department holds.
    """
    seen = actor.department_ids_for(Verb.STUDY_VIEW) if actor else []
    return [pk for pk in seen if pk != submission.department_id]
