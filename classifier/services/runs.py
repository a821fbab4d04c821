"""The life of a classification in the hands of workers: claim, renew, end, sweep.

Every transition is one short transaction. A worker writes only while the row is RUNNING
under the fencing number that it was given; otherwise its answer is dropped and logged.
"""

import datetime as dt
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.errors import KnownError
from accounts.models import Action, AuditEvent, Outcome
from classifier.doorbell import ring
from classifier.errors import UnexpectedFailure
from classifier.metrics import count_end, count_try
from classifier.models import (
    Abstention,
    Classification,
    ClassificationOutcome,
    ClassificationState,
    Explanation,
    InstanceScore,
    ModelVersion,
)
from classifier.querysets import ClassificationQuerySet
from classifier.services.drafts import purge_drafts
from classifier.services.withdrawals import cancel_withdrawn, resume_restored
from records.models import Study

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 200
"""Rings per sweep: a long queue is rung for bit by bit, oldest first."""


@dataclass(frozen=True)
class Claim:
    """A worker's right to write on one classification."""

    classification_id: UUID
    study_id: UUID
    task: str
    fence: int
    attempt: int
    chosen_series: tuple[str, ...] = ()
    """Ids of the series that the image, not the header, brought to this task."""


@dataclass(frozen=True)
class FrameResult:
    """What the network said of one frame."""

    instance_id: UUID
    frame: int
    probabilities: dict[str, float]
    activation_maps: dict[str, list[list[float]]] | None = None
    is_deciding: bool = False


@dataclass(frozen=True)
class Routed:
    """Which tasks the images of a study with a silent header are for; at least one."""

    tasks: tuple[str, ...]
    routing: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a worker found out about a study; `abstention` set means that it gives no label.

    `outcome`, `label` and `suspected_label` belong together as in `Classification`.
    """

    model_version: ModelVersion | None = None
    runtime: str = ""
    outcome: str = ""
    label: str = ""
    suspected_label: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    confidence: str = ""
    routing: dict[str, Any] = field(default_factory=dict)
    aggregation: str = ""
    input_hashes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    frames: list[FrameResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    abstention: Abstention | None = None
    abstention_reason: str = ""


@transaction.atomic
def claim_classification(*, classification_id: str, worker: str) -> Claim | None:
    """Take a queued row for `worker`, or None when there is nothing (any more) to take.

    The start of a row that waits is told once it gets through, or each try would be an event.
    """
    row = (
        Classification.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("study")
        .of_kept_studies()
        .filter(pk=classification_id, state=ClassificationState.QUEUED)
        .first()
    )
    if row is None:
        return None
    row.state = ClassificationState.RUNNING
    row.attempt += 1
    row.fence += 1
    row.worker = worker
    row.started_at = timezone.now()
    row.lease_expires_at = _lease_end()
    row.save()
    if not row.waiting_code:
        _record_start(row)
    return _claim_on(row)


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
    transaction.on_commit(
        partial(ring, classification_id=sibling.pk, priority=sibling.priority), robust=True
    )


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

    The attempt doesn't count. The sweeper rings for the row again as for one that nobody came for.
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
    row.rung_at = timezone.now()
    row.waiting_code = code
    row.save(update_fields=["state", "lease_expires_at", "attempt", "rung_at", "waiting_code"])
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
def release_classification(*, claim: Claim, reference: str) -> bool:
    """After something unexpected: back to the queue, or FAILED after the last attempt."""
    row = _lock(claim)
    if row is None:
        return False
    _requeue_or_fail(row, reference=reference, reason="unexpected")
    return True


def sweep_classifications() -> dict[str, int]:
    """Take back rows whose worker is gone, and ring again for rows that nobody came for.

    What waits for a deleted study is cancelled, and what was cancelled so of a study that has
    been restored since is queued again. Drafts of reviews go with a study that was destroyed.
    """
    cancelled = cancel_withdrawn()
    resumed = resume_restored()
    requeued = _requeue_expired()
    rung = _ring_unanswered()
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
        _requeue_or_fail(row, reference=str(row.pk)[:8], reason="lease_expired")
    return len(rows)


def _ring_unanswered() -> int:
    before = timezone.now() - dt.timedelta(seconds=settings.CLASSIFICATION_RING_AGAIN_SECONDS)
    rows = list(Classification.objects.unanswered(before=before)[:SWEEP_LIMIT])
    rung = 0
    for row in rows:
        if not ring(classification_id=row.pk, priority=row.priority):
            break
        Classification.objects.filter(pk=row.pk).update(rung_at=timezone.now())
        rung += 1
    return rung


def _requeue_or_fail(row: Classification, *, reference: str, reason: str) -> None:
    _end_wait(row)
    if row.attempt >= settings.CLASSIFICATION_MAX_ATTEMPTS:
        _fail(row, UnexpectedFailure(attempts=row.attempt, reference=reference))
        return
    row.state = ClassificationState.QUEUED
    row.lease_expires_at = None
    row.rung_at = row.queued_at
    row.save(update_fields=["state", "lease_expires_at", "rung_at", "waiting_code"])
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
    row.finished_at = timezone.now()
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
    row.finished_at = timezone.now()
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


def _lease_end() -> dt.datetime:
    return timezone.now() + dt.timedelta(seconds=settings.CLASSIFICATION_LEASE_SECONDS)
