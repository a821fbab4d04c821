"""The life of a classification in the hands of workers: claim, renew, end, sweep.

Every transition is one short transaction. A worker writes only while the row is RUNNING
under the fencing number that it was given; otherwise its answer is dropped and logged. All times
of a row are the database's: workers' clocks differ.
"""

import datetime as dt
import logging
from collections.abc import Collection
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from accounts.audit import record_event
from accounts.choices import Outcome
from accounts.errors import KnownError
from accounts.models import AuditEvent
from classifier.answers import Answer, Claim, FrameResult, Routed
from classifier.choices import Action, ClassificationOutcome, ClassificationState
from classifier.doorbell import ring
from classifier.errors import UnexpectedFailure
from classifier.metrics import count_end, count_try
from classifier.models import Classification, Explanation, InstanceScore
from classifier.querysets import ClassificationQuerySet
from classifier.services.drafts import purge_drafts
from classifier.services.healed import resume_healed, resume_stored
from classifier.services.withdrawals import cancel_withdrawn, resume_restored
from records.choices import Priority
from records.models import Study

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 200
"""Rows taken back in one sweep."""


@transaction.atomic
def claim_classification(*, worker: str, priority: str = Priority.ROUTINE) -> Claim | None:
    """Take the row of at least this priority that is due, most urgent and then longest queued.

    None when there is nothing (any more) to take. What waits beyond it is rung for, so that the
    next free worker comes. The start of a row that waits is told once it gets through, or each
    try would be an event.
    """
    due = Classification.objects.due(priority=priority)
    row = due.select_for_update(skip_locked=True, of=("self",)).select_related("study").first()
    if row is None:
        return None
    row.state = ClassificationState.RUNNING
    row.attempt += 1
    row.fence += 1
    row.worker = worker
    row.started_at = Now()
    row.lease_expires_at = _lease_end()
    row.save()
    if not row.waiting_code:
        _record_start(row)
    transaction.on_commit(ring_for_due, robust=True)
    return _claim_on(row)


def ring_for_due() -> int:
    """Ring once for each priority in which something is due; return how many there are."""
    waiting = [
        one for one in Priority if Classification.objects.due(priority=one, only=True).exists()
    ]
    for priority in waiting:
        ring(priority=priority)
    return len(waiting)


def _record_start(row: Classification) -> None:
    record_event(
        action=Action.CLASSIFICATION_STARTED,
        actor=None,
        target=row,
        study=row.study,
        details={"task": row.task, "attempt": row.attempt, "worker": row.worker},
    )


def renew_lease(*, claim: Claim) -> bool:
    """Hold on to the row for longer; False when it is no longer ours."""
    return bool(_ours(claim).update(lease_expires_at=_lease_end()))


@transaction.atomic
def route_classification(*, claim: Claim, routed: Routed) -> Claim | None:
    """Give an unrouted row the first of the tasks found, and each further one a row of its own.

    Returns the claim under which the first is answered, None when the row is no longer ours.
    """
    study = Study.objects.select_for_update().get(pk=claim.study_id)
    row = _lock(claim)
    if row is None:
        return None
    _end_wait(row)
    row.task, *others = routed.tasks
    row.routing = routed.routing
    row.save(update_fields=["task", "routing", "waiting_code"])
    record_event(
        action=Action.CLASSIFICATION_ROUTED,
        actor=None,
        target=row,
        study=study,
        details={
            "tasks": list(routed.tasks),
            "label": routed.routing["label"],
            "probability": routed.routing["probability"],
            "model_digest": routed.routing["model_digest"],
        },
    )
    for task in others:
        _queue_sibling(row, task=task)
    return _claim_on(row)


def _queue_sibling(row: Classification, *, task: str) -> None:
    sibling = Classification.objects.create(
        study=row.study,
        task=task,
        priority=row.priority,
        requested_by=row.requested_by,
        routing=row.routing,
    )
    record_event(
        action=Action.CLASSIFICATION_QUEUED,
        actor=None,
        target=sibling,
        study=row.study,
        details={
            "task": task,
            "priority": sibling.priority,
            "supersedes": None,
            "abstention": "",
        },
    )
    transaction.on_commit(partial(ring, priority=sibling.priority), robust=True)


@transaction.atomic
def complete_classification(*, claim: Claim, answer: Answer) -> bool:
    """Write the answer; False (and nothing written) when the row is no longer ours."""
    row = _lock(claim)
    if row is None:
        return False
    _end_wait(row)
    _copy_answer(row, answer)
    row.save()
    count_end(row)
    _save_frames(row, answer.frames)
    abstained = row.state == ClassificationState.ABSTAINED
    record_event(
        action=(Action.CLASSIFICATION_ABSTAINED if abstained else Action.CLASSIFICATION_COMPLETED),
        actor=None,
        target=row,
        study=row.study,
        details={
            "task": row.task,
            "outcome": row.outcome,
            "label": row.label,
            "suspected_label": row.suspected_label,
            "abstention": row.abstention,
            "model_digest": row.model_digest,
            "stage": row.model_version.stage if row.model_version else "",
            "attempt": row.attempt,
        },
    )
    return True


@transaction.atomic
def fail_classification(*, claim: Claim, error: KnownError) -> bool:
    """End the run with a reason that staff can read; False when the row is no longer ours."""
    row = _lock(claim)
    if row is None:
        return False
    _fail(row, error)
    return True


@transaction.atomic
def postpone_classification(*, claim: Claim, error: KnownError) -> bool:
    """Back to the queue for an `error` that is passing; False when the row is no longer ours.

    The attempt doesn't count. The row is due again after CLASSIFICATION_RING_AGAIN_SECONDS.
    Each reason is told once for a row, however often it is tried.
    """
    row = _lock(claim)
    if row is None:
        return False
    code = error.code[:40]
    is_known = row.waiting_code == code or _was_requeued_for(row, code)
    row.state = ClassificationState.QUEUED
    row.lease_expires_at = None
    row.attempt = max(row.attempt - 1, 0)
    row.due_at = _next_try()
    row.waiting_code = code
    row.save(update_fields=["state", "lease_expires_at", "attempt", "due_at", "waiting_code"])
    count_try(row, end="postponed")
    if not is_known:
        _record_requeue(row, reason=code)
    return True


def _was_requeued_for(row: Classification, reason: str) -> bool:
    events = AuditEvent.objects.filter(target_id=str(row.pk))
    return events.filter(action=Action.CLASSIFICATION_REQUEUED, details__reason=reason).exists()


def _end_wait(row: Classification) -> None:
    """Tell of the start that `claim_classification` left untold, now that the row gets through."""
    if row.waiting_code:
        row.waiting_code = ""
        _record_start(row)


@transaction.atomic
def release_classification(
    *, claim: Claim, reference: str, failure: type[UnexpectedFailure] = UnexpectedFailure
) -> bool:
    """After something unexpected: back to the queue, or FAILED after the last attempt.

    `failure` says what it was, where that is known.
    """
    row = _lock(claim)
    if row is None:
        return False
    _requeue_or_fail(row, failure, reference=reference, reason=failure.code, due_at=_next_try())
    return True


def sweep_classifications() -> dict[str, int]:
    """Take back rows whose worker is gone, and ring for what is due: a bell may have been lost.

    What waits for a deleted study is cancelled, and what was cancelled so of a study that has
    been restored since is queued again, as is what failed for a file that has been put back. What
    waits for the store is rung for as soon as that is there. Drafts of reviews go with a study
    that was destroyed.
    """
    cancelled = cancel_withdrawn()
    resumed = resume_restored() + resume_healed()
    resume_stored()
    requeued = _requeue_expired()
    rung = ring_for_due()
    return {
        "cancelled": cancelled,
        "resumed": resumed,
        "requeued": requeued,
        "rung": rung,
        "purged_drafts": purge_drafts(),
    }


@transaction.atomic
def _requeue_expired() -> int:
    expired = Classification.objects.select_for_update(skip_locked=True, of=("self",))
    rows = list(expired.select_related("study").expired()[:SWEEP_LIMIT])
    for row in rows:
        _requeue_or_fail(
            row,
            UnexpectedFailure,
            reference=str(row.pk)[:8],
            reason="lease_expired",
            due_at=Now(),
        )
    return len(rows)


def ring_waiting(*, codes: Collection[str]) -> None:
    """Have what waits for one of these codes tried as soon as the transaction ends."""
    waiting = Classification.objects.waiting().filter(waiting_code__in=codes)
    if waiting.update(due_at=Now()):
        transaction.on_commit(ring_for_due, robust=True)


def _requeue_or_fail(
    row: Classification,
    failure: type[UnexpectedFailure],
    *,
    reference: str,
    reason: str,
    due_at: Combinable,
) -> None:
    if row.attempt >= settings.CLASSIFICATION_MAX_ATTEMPTS:
        _fail(row, failure(attempts=row.attempt, reference=reference))
        return
    _end_wait(row)
    row.state = ClassificationState.QUEUED
    row.lease_expires_at = None
    row.due_at = due_at
    row.save(update_fields=["state", "lease_expires_at", "due_at", "waiting_code"])
    count_try(row, end="requeued")
    _record_requeue(row, reason=reason, reference=reference)


def _record_requeue(row: Classification, **why: str) -> None:
    record_event(
        action=Action.CLASSIFICATION_REQUEUED,
        actor=None,
        target=row,
        study=row.study,
        outcome=Outcome.MINOR_FAILURE,
        details={"task": row.task, "attempt": row.attempt, **why},
    )


def _fail(row: Classification, error: KnownError) -> None:
    _end_wait(row)
    row.state = ClassificationState.FAILED
    row.lease_expires_at = None
    row.finished_at = Now()
    row.failure_code = error.code[:40]
    row.failure_message = error.message[:400]
    row.failure_action = error.action[:400]
    row.save()
    count_end(row)
    record_event(
        action=Action.CLASSIFICATION_FAILED,
        actor=None,
        target=row,
        study=row.study,
        outcome=Outcome.SERIOUS_FAILURE,
        details={"task": row.task, "code": row.failure_code, "attempt": row.attempt},
    )


def _copy_answer(row: Classification, answer: Answer) -> None:
    abstained = answer.abstention is not None
    row.state = ClassificationState.ABSTAINED if abstained else ClassificationState.AWAITING_REVIEW
    row.lease_expires_at = None
    row.finished_at = Now()
    row.model_version = answer.model_version
    row.model_digest = answer.model_version.digest if answer.model_version else ""
    row.runtime = answer.runtime
    row.outcome = ClassificationOutcome.ABSTAINED if abstained else answer.outcome
    row.label = answer.label
    row.suspected_label = answer.suspected_label
    row.probabilities = answer.probabilities
    row.confidence = answer.confidence
    row.routing = answer.routing or row.routing
    row.aggregation = answer.aggregation
    row.input_hashes = answer.input_hashes
    row.timings = answer.timings
    row.notes = answer.notes
    row.tally = answer.tally
    row.abstention = answer.abstention or ""
    row.abstention_reason = answer.abstention_reason[:300]


def _save_frames(row: Classification, frames: list[FrameResult]) -> None:
    InstanceScore.objects.bulk_create(
        InstanceScore(
            classification=row,
            instance_id=result.instance_id,
            frame=result.frame,
            probabilities=result.probabilities,
            is_deciding=result.is_deciding,
        )
        for result in frames
    )
    Explanation.objects.bulk_create(
        Explanation(
            classification=row,
            instance_id=result.instance_id,
            frame=result.frame,
            activation_maps=result.activation_maps,
        )
        for result in frames
        if result.activation_maps
    )


def _claim_on(row: Classification) -> Claim:
    return Claim(row.pk, row.study_id, row.task, row.fence, row.attempt, tuple(row.chosen_series))


def _ours(claim: Claim) -> ClassificationQuerySet:
    """The row while it is this worker's; of a deleted study nobody writes any more."""
    return Classification.objects.of_kept_studies().filter(
        pk=claim.classification_id, state=ClassificationState.RUNNING, fence=claim.fence
    )


def _lock(claim: Claim) -> Classification | None:
    row = _ours(claim).select_for_update(of=("self",)).select_related("study").first()
    if row is None:
        logger.warning(
            "classification %s is no longer held under fence %s: the late write is dropped",
            claim.classification_id,
            claim.fence,
        )
    return row


def _lease_end() -> Combinable:
    return Now() + dt.timedelta(seconds=settings.CLASSIFICATION_LEASE_SECONDS)


def _next_try() -> Combinable:
    return Now() + dt.timedelta(seconds=settings.CLASSIFICATION_RING_AGAIN_SECONDS)
