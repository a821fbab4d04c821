"""Running again, many at once, what failed for a reason that is gone."""

import datetime as dt

from accounts.audit import record_event
from accounts.models import User
from classifier.choices import Action
from classifier.errors import NotRerunnable
from classifier.models import Classification
from classifier.querysets import WORKLIST_ORDER
from classifier.services.requests import rerun_classification
from records.errors import StudyGone


def rerun_failed(
    *,
    actor: User | None,
    code: str,
    task: str = "",
    since: dt.datetime | None = None,
    limit: int,
) -> int:
    """Run again up to `limit` of what failed with `code`, urgent ones first; returns how many.

    Each row by itself, so that a run that breaks off is gone on with by the next. One that
    somebody else ran again, decided on or deleted meanwhile is left out. Raises NotYourDepartment.
    """
    failed = Classification.objects.failed(code=code, task=task, since=since)
    count = 0
    for row in failed.order_by(*WORKLIST_ORDER)[:limit]:
        try:
            rerun_classification(actor=actor, classification=row)
        except (NotRerunnable, StudyGone):
            continue
        count += 1
    if count:
        record_event(
            action=Action.FAILED_RERUN,
            actor=actor,
            details={"code": code, "task": task, "count": count},
        )
    return count
