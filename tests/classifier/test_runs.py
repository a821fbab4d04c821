"""Leases, fencing numbers, retries and the sweeper."""

import datetime as dt

import pytest
from django.db import DatabaseError
from django.utils import timezone

from accounts.errors import KnownError
from accounts.models import Action, AuditEvent
from classifier.errors import InferenceFailed, TrustedKeysInvalid
from classifier.models import Abstention, Classification
from classifier.services import runs


def events_of(row: Classification) -> list[str]:
    events = AuditEvent.objects.filter(target_id=str(row.pk)).order_by("id")
    return list(events.values_list("action", flat=True))


def let_lease_expire(row_id: object) -> None:
    past = timezone.now() - dt.timedelta(seconds=1)
    Classification.objects.filter(pk=row_id).update(lease_expires_at=past)


def test_claim_classification_takes_it_once_when_two_workers_come(queued):
    first = runs.claim_classification(classification_id=str(queued.pk), worker="a")
    second = runs.claim_classification(classification_id=str(queued.pk), worker="b")
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
    again = runs.claim_classification(
        classification_id=str(claim.classification_id), worker="worker-2"
    )
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


def test_sweep_classifications_rings_again_when_nobody_came(queued, monkeypatch):
    rung = []
    monkeypatch.setattr(runs, "ring", lambda **what: rung.append(what) or True)
    assert runs.sweep_classifications()["rung"] == 0
    Classification.objects.filter(pk=queued.pk).update(
        rung_at=timezone.now() - dt.timedelta(minutes=5)
    )
    assert runs.sweep_classifications()["rung"] == 1
    assert rung == [{"classification_id": queued.pk, "priority": "routine"}]
    assert runs.sweep_classifications()["rung"] == 0


def test_release_classification_queues_it_again(claim):
    assert runs.release_classification(claim=claim, reference="abc")
    row = Classification.objects.get(pk=claim.classification_id)
    assert (row.state, row.lease_expires_at) == ("queued", None)


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
    assert row.rung_at > row.queued_at
    assert not runs.postpone_classification(claim=claim, error=StoreAway())


def test_postpone_classification_tells_each_reason_once_however_often_it_is_tried(
    queued, answer, settings
):
    settings.CLASSIFICATION_MAX_ATTEMPTS = 1
    errors = (StoreAway(), TrustedKeysInvalid(reason="x"))
    for error in (*errors, *errors, errors[1]):
        claim = runs.claim_classification(classification_id=str(queued.pk), worker="w")
        assert runs.postpone_classification(claim=claim, error=error)
    assert events_of(queued) == [
        Action.CLASSIFICATION_QUEUED,
        Action.CLASSIFICATION_STARTED,
        Action.CLASSIFICATION_REQUEUED,
        Action.CLASSIFICATION_REQUEUED,
    ]
    claim = runs.claim_classification(classification_id=str(queued.pk), worker="late")
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
    again = runs.claim_classification(
        classification_id=str(claim.classification_id), worker="worker-2"
    )
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
