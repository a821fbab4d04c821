"""What becomes of classifications when their study is deleted, and when it is restored.

The records app knows nothing of them: no worker can claim one of a deleted study, and the sweeper
draws the rest of the conclusion within seconds.
"""

from django.db import transaction
from django.db.models.functions import Now

from accounts.audit import record_event
from classifier.choices import Action, ClassificationState
from classifier.models import Classification
from classifier.querysets import ClassificationQuerySet

AT_ONCE = 200


@transaction.atomic
def cancel_withdrawn() -> int:
    """Cancel what waits or runs for a deleted study; a worker at it can't write any more."""
    rows = list(_locked().withdrawn()[:AT_ONCE])
    for row in rows:
        row.state = ClassificationState.CANCELLED
        row.lease_expires_at = None
        row.save(update_fields=["state", "lease_expires_at"])
        record_event(
            action=Action.CLASSIFICATION_CANCELLED,
            actor=None,
            target=row,
            study=row.study,
            details={"task": row.task, "reason": "study_deleted"},
        )
    return len(rows)


@transaction.atomic
def resume_restored() -> int:
    """Queue again what was cancelled when its study was deleted, now that it is back.

    The sweep rings for all that is due once this is done.
    """
    rows = list(_locked().restored()[:AT_ONCE])
    seen = set()
    for row in rows:
        if (row.study_id, row.task) in seen:
            continue
        seen.add((row.study_id, row.task))
        row.state = ClassificationState.QUEUED
        row.due_at = Now()
        row.save(update_fields=["state", "due_at"])
        record_event(
            action=Action.CLASSIFICATION_REQUEUED,
            actor=None,
            target=row,
            study=row.study,
            details={"task": row.task, "reason": "study_restored"},
        )
    return len(seen)


def _locked() -> ClassificationQuerySet:
    rows = Classification.objects.select_for_update(skip_locked=True, of=("self",))
    return rows.select_related("study")
