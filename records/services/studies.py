"""When a study is whole, and when it is not any more."""

import datetime as dt
import logging

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.models import User
from accounts.outages import is_database_outage
from records.choices import Action, StudyState
from records.models import Series, Study
from records.signals import study_completed

logger = logging.getLogger(__name__)


@transaction.atomic
def complete_study(*, actor: User | None, study: Study) -> Study:
    """Declare that no more images are expected; one complete, or deleted, stays as it is.

    Whoever listens to `study_completed` works in the same transaction.
    """
    study = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    if study.state == StudyState.COMPLETE or study.deleted_at is not None:
        return study
    study.state = StudyState.COMPLETE
    study.completed_at = timezone.now()
    study.save(update_fields=["state", "completed_at"])
    record_event(
        action=Action.STUDY_COMPLETED,
        actor=actor,
        target=study,
        study=study,
        details={"instances": study.instance_count},
    )
    study_completed.send(sender=Study, study=study, actor=actor)
    return study


def complete_idle_studies() -> int:
    """Complete the open studies to which nothing has come for a while and nobody is sending.

    Returns how many. One that can't be completed is logged, tried again the next time, and
    holds up no other.
    """
    latest = timezone.now() - settings.STUDY_IDLE_AFTER
    completed = 0
    for study in Study.objects.idle(since=latest):
        try:
            completed += _complete_if_idle(study=study, latest=latest)
        except Exception as error:
            if is_database_outage(error):
                raise
            logger.exception("Study %s can't be completed", study.pk)
    return completed


@transaction.atomic
def _complete_if_idle(*, study: Study, latest: dt.datetime) -> bool:
    """Look again under the lock: an image may have come since the study was listed."""
    Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    is_idle = Study.objects.idle(since=latest).filter(pk=study.pk).exists()
    if is_idle:
        complete_study(actor=None, study=study)
    return is_idle


@transaction.atomic
def state_kind(*, actor: User, study: Study, modality: str, body_part: str) -> Study:
    """Record what a person says the images show, where their headers leave it open.

    A header's own words stay: only series without modality or body part take these. Stating it
    again replaces what was stated before. The caller has checked that the actor may.
    """
    study = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    rows = list(Series.objects.filter(study=study))
    for row in rows:
        row.stated_modality = modality if row.is_modality_open else ""
        row.stated_body_part = "" if row.body_part_examined else body_part
        row.save(update_fields=["stated_modality", "stated_body_part"])
    if not any(row.body_part_examined for row in rows):
        study.body_part = body_part
        study.save(update_fields=["body_part"])
    record_event(
        action=Action.STUDY_DESCRIBED,
        actor=actor,
        target=study,
        study=study,
        details={"modality": modality, "body_part": body_part},
    )
    return study


def reopen_study(*, actor: User | None, study: Study) -> None:
    """Expect more images again, because one came. The caller holds the study's lock."""
    if study.state == StudyState.OPEN:
        return
    study.state = StudyState.OPEN
    study.completed_at = None
    study.save(update_fields=["state", "completed_at"])
    record_event(action=Action.STUDY_REOPENED, actor=actor, target=study, study=study)
