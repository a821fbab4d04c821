"""Leases, fencing numbers, retries and the sweeper."""

import datetime as dt
from collections.abc import Callable

import pytest
from celery import current_app
from django.db import DatabaseError
from django.utils import timezone

from accounts.doorbell import count_bells, finish_ringing
from accounts.errors import KnownError
from accounts.models import AuditEvent
from classifier.choices import Abstention, Action
from classifier.errors import InferenceFailed, TrustedKeysInvalid
from classifier.models import Classification
from classifier.services import runs
from classifier.services.requests import request_classifications
from tests.classifier.waiting import let_time_pass
from tests.factories import make_study


def events_of(row: Classification) -> list[str]:
    events = AuditEvent.objects.filter(target_id=str(row.pk)).order_by("id")
    return list(events.values_list("action", flat=True))


def let_lease_expire(row_id: object) -> None:
    past = timezone.now() - dt.timedelta(seconds=1)
    Classification.objects.filter(pk=row_id).update(lease_expires_at=past)


@pytest.fixture
def bells(embedded_services) -> Callable[[], dict[str, int]]:
    """How many bells lie in the queue of each priority, from none on."""

    def count() -> dict[str, int]:
        finish_ringing()
        with current_app.producer_or_acquire() as producer:
            return {queue: count_bells(producer, queue) for queue in ("urgent", "routine")}

    with current_app.connection_for_write() as connection:
        for queue in ("urgent", "routine"):
            connection.default_channel.queue_purge(queue)
    return count


def test_claim_classification_takes_it_once_when_two_workers_come(queued):
    first = runs.claim_classification(worker="a")
    second = runs.claim_classification(worker="b")
    assert first is not None
    assert second is None
    queued.refresh_from_db()
    assert (queued.state, queued.worker, queued.attempt, queued.fence) == ("running", "a", 1, 1)
    assert events_of(queued) == [Action.CLASSIFICATION_QUEUED, Action.CLASSIFICATION_STARTED]


def test_complete_classification_writes_answer_scores_and_map(answered):
    assert (answered.state, answered.label, answered.probability) == (
        "awaiting_review",
        "pneumonia",
        0.92,
    )
    assert answered.instance_scores.get().is_deciding
    assert answered.explanations.get().activation_maps["pneumonia"] == [[0.0, 1.0], [0.5, 0.25]]
    assert events_of(answered)[-1] == Action.CLASSIFICATION_COMPLETED


def test_complete_classification_changes_nothing_when_delivered_twice(claim, answer, answered):
    before = events_of(answered)
    assert not runs.complete_classification(claim=claim, answer=answer)
    assert events_of(answered) == before
    assert answered.instance_scores.count() == 1


def test_complete_classification_abstains_with_the_reason(claim, answer):
    import dataclasses

    abstained = dataclasses.replace(
        answer, label="", abstention=Abstention.WRONG_VIEW, abstention_reason="Lateral view (LL)"
    )
    assert runs.complete_classification(claim=claim, answer=abstained)
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.state, row.abstention, row.label) == ("abstained", "wrong_view", "")
    assert events_of(row)[-1] == Action.CLASSIFICATION_ABSTAINED


def test_sweep_classifications_requeues_when_the_lease_has_expired(claim, answer):
    let_lease_expire(claim.classification_id)
    assert runs.sweep_classifications()["requeued"] == 1
    again = runs.claim_classification(worker="worker-2")
    assert again is not None
    assert (again.fence, again.attempt) == (2, 2)
    assert not runs.complete_classification(claim=claim, answer=answer)
    assert runs.complete_classification(claim=again, answer=answer)
    row = Classification.objects.get(pk=claim.classification_id)
    assert row.instance_scores.count() == 1


def test_sweep_classifications_leaves_a_renewed_lease_alone(claim):
    let_lease_expire(claim.classification_id)
    assert runs.renew_lease(claim=claim)
    assert runs.sweep_classifications()["requeued"] == 0


def test_sweep_classifications_fails_it_after_the_last_attempt(claim, settings):
    settings.CLASSIFICATION_MAX_ATTEMPTS = 1
    let_lease_expire(claim.classification_id)
    runs.sweep_classifications()
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.state, row.failure_code) == ("failed", "unexpected")
    assert row.failure_action
    assert events_of(row)[-1] == Action.CLASSIFICATION_FAILED


def test_claim_classification_takes_urgent_first_and_then_the_oldest(department, technician):
    wanted = [
        queue(department, technician, priority=priority, minutes=minutes)
        for priority, minutes in (("urgent", 9), ("urgent", 1), ("routine", 60), ("routine", 3))
    ]
    claims = [runs.claim_classification(worker="w") for _ in range(5)]
    assert [claim and claim.classification_id for claim in claims] == [
        *(row.pk for row in wanted),
        None,
    ]


def test_claim_classification_by_an_urgent_bell_leaves_routine_studies(department, technician):
    queue(department, technician, priority="routine")
    assert runs.claim_classification(worker="w", priority="urgent") is None
    assert runs.claim_classification(worker="w", priority="routine") is not None


def queue(department, technician, *, priority: str, minutes: int = 0) -> Classification:
    """A study that has waited for so long."""
    study = make_study(department=department, priority=priority)
    (row,) = request_classifications(actor=technician, study=study)
    Classification.objects.filter(pk=row.pk).update(
        queued_at=timezone.now() - dt.timedelta(minutes=minutes)
    )
    return row


@pytest.mark.parametrize("priorities", [("urgent", "routine"), ("routine", "routine")])
def test_claim_classification_rings_for_what_waits_beyond_it(
    department, technician, bells, django_capture_on_commit_callbacks, priorities
):
    for priority in priorities:
        queue(department, technician, priority=priority)
    with django_capture_on_commit_callbacks(execute=True):
        assert runs.claim_classification(worker="w")
    assert bells() == {"urgent": 0, "routine": 1}
    with django_capture_on_commit_callbacks(execute=True):
        assert runs.claim_classification(worker="w")
        assert runs.claim_classification(worker="w") is None
    assert bells() == {"urgent": 0, "routine": 1}


def test_sweep_classifications_rings_once_for_each_priority_however_many_wait(
    department, technician, bells
):
    assert runs.sweep_classifications()["rung"] == 0
    for priority in ("routine", "routine", "urgent", "urgent", "urgent"):
        queue(department, technician, priority=priority)
    assert [runs.sweep_classifications()["rung"] for _ in range(3)] == [2, 2, 2]
    assert bells() == {"urgent": 1, "routine": 1}


def test_release_classification_queues_it_again(claim):
    assert runs.release_classification(claim=claim, reference="abc")
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.state, row.lease_expires_at) == ("queued", None)
    assert runs.claim_classification(worker="at once") is None
    let_time_pass(row.pk)
    assert runs.claim_classification(worker="later") is not None


def test_fail_classification_keeps_code_sentence_and_action(claim):
    error = InferenceFailed(code="image_truncated", reason="cut short.", remedy="Send it again.")
    assert runs.fail_classification(claim=claim, error=error)
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.state, row.failure_code, row.failure_action) == (
        "failed",
        "image_truncated",
        "Send it again.",
    )


class StoreAway(KnownError):
    code = "store_away"
    is_passing = True


def test_postpone_classification_queues_it_again_without_using_an_attempt(claim):
    assert runs.postpone_classification(claim=claim, error=StoreAway())
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.state, row.attempt, row.lease_expires_at) == ("queued", 0, None)
    assert (row.waiting_code, row.failure_code) == ("store_away", "")
    assert row.due_at > timezone.now()
    assert runs.claim_classification(worker="too early") is None
    assert not runs.postpone_classification(claim=claim, error=StoreAway())


def test_postpone_classification_tells_each_reason_once_however_often_it_is_tried(
    queued, answer, settings
):
    settings.CLASSIFICATION_MAX_ATTEMPTS = 1
    errors = (StoreAway(), TrustedKeysInvalid(reason="x"))
    for error in (*errors, *errors, errors[1]):
        claim = runs.claim_classification(worker="w")
        assert runs.postpone_classification(claim=claim, error=error)
        let_time_pass(queued.pk)
    assert events_of(queued) == [
        Action.CLASSIFICATION_QUEUED,
        Action.CLASSIFICATION_STARTED,
        Action.CLASSIFICATION_REQUEUED,
        Action.CLASSIFICATION_REQUEUED,
    ]
    claim = runs.claim_classification(worker="late")
    assert claim.attempt == 1
    assert runs.complete_classification(claim=claim, answer=answer)
    queued.refresh_from_db()
    assert (queued.state, queued.waiting_code) == ("awaiting_review", "")
    assert events_of(queued)[4:] == [
        Action.CLASSIFICATION_STARTED,
        Action.CLASSIFICATION_COMPLETED,
    ]
    started = AuditEvent.objects.filter(action=Action.CLASSIFICATION_STARTED).first()
    assert started.details["worker"] == "late"


def test_sweep_classifications_counts_the_attempt_of_a_waiting_row_whose_worker_died(claim):
    runs.postpone_classification(claim=claim, error=StoreAway())
    let_time_pass(claim.classification_id)
    again = runs.claim_classification(worker="worker-2")
    let_lease_expire(again.classification_id)
    assert runs.sweep_classifications()["requeued"] == 1
    row = Classification.objects.get(pk=again.classification_id)
    assert (row.state, row.attempt, row.waiting_code) == ("queued", 1, "")


@pytest.mark.parametrize(
    "change",
    [{"label": "normal"}, {"probabilities": {}}, {"model_digest": "0"}, {"finished_at": None}],
)
def test_database_refuses_to_alter_an_answer(answered, change):
    with pytest.raises(DatabaseError, match="keeps its answer"):
        Classification.objects.filter(pk=answered.pk).update(**change)


def test_database_refuses_to_delete_a_classification(queued):
    with pytest.raises(DatabaseError, match="permission denied"):
        Classification.objects.filter(pk=queued.pk).delete()
