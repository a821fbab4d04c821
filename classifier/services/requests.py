"""Asking for a classification."""

from functools import partial

from django.db import transaction

from accounts.audit import record_event
from accounts.models import Action, User
from accounts.roles import Verb
from classifier.doorbell import ring
from classifier.errors import NotRerunnable, NotYourDepartment
from classifier.models import Abstention, Classification, ClassificationState
from classifier.models.classifications import ABSTENTION_SENTENCES
from classifier.routing import tasks_for_study
from records.models import Instance, Study

NO_TASK = ""


@transaction.atomic
def request_classifications(*, actor: User | None, study: Study) -> list[Classification]:
    """Queue every classification that `study` raises, superseding earlier ones.

    A study that no task looks at, or that holds no image a network may be shown, gets
    one abstained row that says so: a person still has to read it.
    """
    Study.objects.select_for_update().get(pk=study.pk)
    tasks = tasks_for_study(study) or {NO_TASK}
    _retire_other_tasks(actor=actor, study=study, tasks=tasks)
    return [_request(actor=actor, study=study, task=task) for task in sorted(tasks)]


@transaction.atomic
def rerun_classification(*, actor: User, classification: Classification) -> Classification:
    """Run an ended, undecided classification again; the old one is kept as superseded.

    Raises NotYourDepartment, NotRerunnable.
    """
    study = Study.objects.select_for_update().get(pk=classification.study_id)
    if not actor.has_verb_in(Verb.STUDY_RERUN, study.department_id):
        raise NotYourDepartment
    classification.refresh_from_db()
    if not classification.can_rerun:
        raise NotRerunnable(state=classification.get_state_display())
    tasks = tasks_for_study(study) or {NO_TASK}
    task = classification.task if classification.task in tasks else min(tasks)
    return _request(actor=actor, study=study, task=task)


def _request(*, actor: User | None, study: Study, task: str) -> Classification:
    previous = (
        Classification.objects.select_for_update().current().filter(study=study, task=task).first()
    )
    if previous is not None:
        _supersede(previous)
    row = Classification(
        study=study, task=task, priority=study.priority, requested_by=actor, supersedes=previous
    )
    abstention = _abstention_before_queueing(study=study, task=task)
    if abstention is not None:
        row.state = ClassificationState.ABSTAINED
        row.abstention = abstention
        row.abstention_reason = ABSTENTION_SENTENCES[abstention]
        row.finished_at = row.queued_at
    row.save()
    _record_request(actor=actor, row=row, previous=previous)
    if abstention is None:
        transaction.on_commit(
            partial(ring, classification_id=row.pk, priority=row.priority), robust=True
        )
    return row


def _abstention_before_queueing(*, study: Study, task: str) -> Abstention | None:
    if not Instance.objects.of_study(study).classifiable().exists():
        return Abstention.NO_IMAGE
    return Abstention.NO_TASK if task == NO_TASK else None


def _record_request(
    *, actor: User | None, row: Classification, previous: Classification | None
) -> None:
    is_queued = row.state == ClassificationState.QUEUED
    record_event(
        action=Action.CLASSIFICATION_QUEUED if is_queued else Action.CLASSIFICATION_ABSTAINED,
        actor=actor,
        target=row,
        study=row.study,
        details={
            "task": row.task,
            "priority": row.priority,
            "supersedes": str(previous.pk) if previous else None,
            "abstention": row.abstention,
        },
    )


def _supersede(row: Classification) -> None:
    """Take a row out of the current ones; a worker that still holds it can't write any more."""
    row.state = ClassificationState.SUPERSEDED
    row.lease_expires_at = None
    row.save(update_fields=["state", "lease_expires_at"])


def _retire_other_tasks(*, actor: User | None, study: Study, tasks: set[str]) -> None:
    """Supersede what the study no longer raises: a late header may change what it is."""
    others = Classification.objects.select_for_update().current().filter(study=study)
    for row in others.exclude(task__in=tasks):
        _supersede(row)
        record_event(
            action=Action.CLASSIFICATION_SUPERSEDED,
            actor=actor,
            target=row,
            study=study,
            details={"task": row.task},
        )
