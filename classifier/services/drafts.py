"""What a person has written and not yet signed: kept on the server, for that person alone."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.errors import NotYourDepartment
from accounts.models import User
from accounts.roles import Verb
from classifier import errors
from classifier.choices import Action
from classifier.models import Classification, ReviewDraft
from classifier.models.reviews import COMMENT_MAXIMUM
from records.errors import StudyGone
from records.models import Study

AT_ONCE = 200
KEPT = dt.timedelta(days=365)
"""So long a draft waits for its person, since they last changed it."""


@transaction.atomic
def save_draft(
    *,
    actor: User,
    classification: Classification,
    decision: str = "",
    label: str = "",
    reason: str = "",
    comment: str = "",
) -> ReviewDraft | None:
    """Keep what `actor` has entered so far, in place of what was kept before.

    It is kept whatever has become of the classification meanwhile: somebody may have decided, or
    a later run may stand in its place, whose draft it then is. Nothing is kept of a blank form
    for which there was nothing. The trail notes that a draft was begun, not each save of it.
    Raises StudyGone, NotYourDepartment and CommentTooLong.
    """
    study = Study.objects.select_for_update(no_key=True).get(pk=classification.study_id)
    if study.deleted_at is not None:
        raise StudyGone
    if not actor.has_verb_in(Verb.REVIEW_CREATE, study.department_id):
        raise NotYourDepartment
    if len(comment) > COMMENT_MAXIMUM:
        raise errors.CommentTooLong(length=len(comment), maximum=COMMENT_MAXIMUM)
    row = _standing(classification)
    entered = {"decision": decision, "label": label, "reason": reason, "comment": comment}
    if not any(entered.values()) and not row.review_drafts.filter(person=actor).exists():
        return None
    draft, is_new = ReviewDraft.objects.update_or_create(
        classification=row, person=actor, defaults={**entered, "updated_at": timezone.now()}
    )
    if is_new:
        record_event(action=Action.REVIEW_DRAFTED, actor=actor, target=row, study=study)
    return draft


def hand_drafts_on(*, replaced: Classification, current: Classification) -> None:
    """Let the run that replaces another have its drafts, inside the caller's transaction."""
    ReviewDraft.objects.filter(classification=replaced).update(classification=current)


@transaction.atomic
def purge_drafts() -> int:
    """Remove what was written about studies that are destroyed by now, and what was forgotten.

    The trail tells of the former, and that each of them was begun.
    """
    rows = ReviewDraft.objects
    due = [
        *rows.of_purged_studies().values_list("pk", flat=True)[:AT_ONCE],
        *rows.filter(updated_at__lte=timezone.now() - KEPT).values_list("pk", flat=True)[:AT_ONCE],
    ]
    return rows.filter(pk__in=due).delete()[0]


def _standing(classification: Classification) -> Classification:
    """The run that stands now where `classification` stood; itself, unless it was replaced."""
    row = Classification.objects.get(pk=classification.pk)
    while (later := Classification.objects.filter(supersedes=row).first()) is not None:
        row = later
    return row
