"""Asking for a classification."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.audit import record_event
from accounts.errors import NotYourDepartment
from accounts.models import User
from accounts.roles import Verb
from classifier.choices import (
    REVIEWED_STATES,
    ROUTER_TASK,
    Abstention,
    Action,
    ClassificationOutcome,
    ClassificationState,
)
from classifier.doorbell import ring
from classifier.errors import NotRerunnable, NotStatable
from classifier.metrics import count_end
from classifier.models import UNROUTED, Classification, Deployment
from classifier.models.classifications import ABSTENTION_SENTENCES
from classifier.routing import open_series, tasks_for_study, tasks_to_state
from classifier.services.drafts import hand_drafts_on
from classifier.task_registry import TASKS
from records.errors import StudyGone
from records.models import Instance, Study
from records.services import state_kind

NO_TASK = ""


@transaction.atomic
def request_classifications(*, actor: User | None, study: Study) -> list[Classification]:
    """Queue every classification that `study` raises, superseding earlier ones.

    A study whose headers leave the task open gets one unrouted row: the worker looks at its
    images first. A study that no task looks at, or that holds no image a network may be shown,
    gets one abstained row that says so: a person still has to read it.
    """
    Study.objects.select_for_update().get(pk=study.pk)
    tasks = _tasks_of(study)
    retired = _retire_other_tasks(actor=actor, study=study, tasks=tasks)
    replaced = retired[0] if len(tasks) == 1 and retired else None
    return [
        _request(actor=actor, study=study, task=task, replaced=replaced) for task in sorted(tasks)
    ]


@transaction.atomic
def rerun_classification(*, actor: User | None, classification: Classification) -> Classification:
    """Run an ended, undecided classification again; the old one is kept as superseded.

    Without an actor it is the operator's doing. A task that the images decided stays decided.
    Raises StudyGone, NotYourDepartment and NotRerunnable.
    """
    study = _lock_rerunnable(actor=actor, classification=classification)
    return _run_again(actor=actor, study=study, classification=classification)


def _run_again(
    *, actor: User | None, study: Study, classification: Classification
) -> Classification:
    tasks = _tasks_of(study)
    is_chosen = classification.is_chosen_by_image and not tasks_for_study(study)
    return _request(
        actor=actor,
        study=study,
        task=classification.task if is_chosen or classification.task in tasks else min(tasks),
        replaced=classification,
        routing=classification.routing if is_chosen else {},
    )


@transaction.atomic
def request_again(*, classification: Classification) -> Classification | None:
    """Run one again for the system itself, as `rerun_classification`; None where it has changed.

    For one that failed through no fault of its study.
    """
    study = Study.objects.select_for_update().get(pk=classification.study_id)
    classification.refresh_from_db()
    if study.deleted_at is not None or not classification.can_rerun:
        return None
    return _run_again(actor=None, study=study, classification=classification)


@transaction.atomic
def state_task(*, actor: User, classification: Classification, task: str) -> list[Classification]:
    """Note which task a person names for a study whose header is silent, and classify it anew.

    It is said of the whole study; where a person has decided on any result of it, that stays.
    Raises StudyGone, NotYourDepartment, NotRerunnable, NotStatable.
    """
    study = _lock_rerunnable(actor=actor, classification=classification)
    current = Classification.objects.current().filter(study=study)
    reviewed = current.filter(state__in=REVIEWED_STATES).first()
    if reviewed is not None:
        raise NotRerunnable(state=reviewed.get_state_display())
    if task not in tasks_to_state(study):
        raise NotStatable
    modality, body_part = TASKS[task].stated
    study = state_kind(actor=actor, study=study, modality=modality, body_part=body_part)
    return request_classifications(actor=actor, study=study)


def _lock_rerunnable(*, actor: User | None, classification: Classification) -> Study:
    study = Study.objects.select_for_update().get(pk=classification.study_id)
    if study.deleted_at is not None:
        raise StudyGone
    if actor is not None and not _may_rerun(actor, study):
        raise NotYourDepartment
    classification.refresh_from_db()
    if not classification.can_rerun:
        raise NotRerunnable(state=classification.get_state_display())
    return study


def _may_rerun(actor: User, study: Study) -> bool:
    """Who sees the study; or who runs again, unseen, what failed in the whole hospital."""
    is_everywhere = actor.has_verb_everywhere(Verb.QUEUE_RERUN)
    return is_everywhere or actor.has_verb_in(Verb.STUDY_RERUN, study.department_id)


def _tasks_of(study: Study) -> set[str]:
    """The tasks that the headers name; else whether the images are to be asked."""
    named = tasks_for_study(study)
    if named:
        return named
    if open_series(study) and Deployment.objects.live_version(ROUTER_TASK):
        return {UNROUTED}
    return {NO_TASK}


def _request(
    *,
    actor: User | None,
    study: Study,
    task: str,
    replaced: Classification | None,
    routing: dict[str, Any] | None = None,
) -> Classification:
    """Write one row; `replaced` is what it stands for when its task had no row before."""
    same = Classification.objects.select_for_update().current().filter(study=study, task=task)
    previous = same.first() or replaced
    for earlier in (previous, replaced):
        if earlier is not None:
            _supersede(earlier)
    row = Classification(
        study=study,
        task=task,
        priority=study.priority,
        requested_by=actor,
        supersedes=previous,
        routing=routing or {},
    )
    abstention = _abstention_before_queueing(study=study, task=task)
    if abstention is not None:
        row.state = ClassificationState.ABSTAINED
        row.outcome = ClassificationOutcome.ABSTAINED
        row.abstention = abstention
        row.abstention_reason = ABSTENTION_SENTENCES[abstention]
        row.finished_at = Now()
    row.save()
    row.refresh_from_db(fields=["finished_at"])
    if abstention is not None:
        count_end(row)
    if previous is not None:
        hand_drafts_on(replaced=previous, current=row)
    _record_request(actor=actor, row=row, previous=previous)
    if abstention is None:
        transaction.on_commit(partial(ring, priority=row.priority), robust=True)
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


def _retire_other_tasks(
    *, actor: User | None, study: Study, tasks: set[str]
) -> list[Classification]:
    """Supersede what the study no longer raises: a late header may change what it is."""
    others = Classification.objects.select_for_update().current().filter(study=study)
    retired = list(others.exclude(task__in=tasks))
    for row in retired:
        _supersede(row)
        record_event(
            action=Action.CLASSIFICATION_SUPERSEDED,
            actor=actor,
            target=row,
            study=study,
            details={"task": row.task},
        )
    return retired
