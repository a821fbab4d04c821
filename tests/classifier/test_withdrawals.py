"""What becomes of classifications when their study is deleted, and when it comes back."""

import pytest

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.answers import Answer, Claim
from classifier.choices import Abstention, Action
from classifier.models import Classification
from classifier.services import runs
from classifier.services.requests import request_classifications
from records.services import delete_study, restore_study
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(department) -> Classification:
    factories.make_model_version()
    study = factories.make_study(department=department)
    (queued,) = request_classifications(actor=None, study=study)
    return queued


@pytest.fixture
def reviewer(department):
    return factories.make_user(Role.REVIEWER, department=department)


@pytest.fixture
def department(db):
    return factories.make_department()


def claim(row: Classification) -> Claim | None:
    return runs.claim_classification(worker="w")


def states() -> list[str]:
    return list(Classification.objects.order_by("queued_at").values_list("state", flat=True))


def count(action: Action) -> int:
    return AuditEvent.objects.filter(action=action).count()


def test_claim_is_refused_when_the_study_is_deleted(row, reviewer):
    delete_study(actor=reviewer, study=row.study, reason="Mistake")

    assert claim(row) is None
    assert not Classification.objects.visible_to(reviewer).exists()


def test_sweeper_cancels_what_waits_for_a_deleted_study(row, reviewer):
    delete_study(actor=reviewer, study=row.study, reason="Mistake")

    assert [runs.sweep_classifications()["cancelled"] for _ in range(2)] == [1, 0]

    assert states() == ["cancelled"]
    assert count(Action.CLASSIFICATION_CANCELLED) == 1


def test_answer_is_dropped_when_the_study_was_deleted_during_the_run(row, reviewer):
    held = claim(row)
    delete_study(actor=reviewer, study=row.study, reason="Mistake")
    runs.sweep_classifications()

    answer = Answer(abstention=Abstention.NO_IMAGE, abstention_reason="x")

    assert runs.complete_classification(claim=held, answer=answer) is False
    assert states() == ["cancelled"]


def test_sweeper_queues_again_what_was_cancelled_when_the_study_is_restored(row, reviewer):
    deleted = delete_study(actor=reviewer, study=row.study, reason="Mistake")
    runs.sweep_classifications()
    restore_study(actor=reviewer, study=deleted)

    assert [runs.sweep_classifications()["resumed"] for _ in range(2)] == [1, 0]

    assert states() == ["queued"]
    assert count(Action.CLASSIFICATION_REQUEUED) == 1
    assert claim(row) is not None


def test_sweeper_leaves_a_cancelled_row_when_a_newer_one_stands_in_its_place(row, reviewer):
    deleted = delete_study(actor=reviewer, study=row.study, reason="Mistake")
    runs.sweep_classifications()
    study = restore_study(actor=reviewer, study=deleted)
    request_classifications(actor=None, study=study)  # a late image came first

    assert runs.sweep_classifications()["resumed"] == 0

    assert states() == ["cancelled", "queued"]


def test_reviewed_result_is_back_when_the_study_is_restored(row, reviewer):
    answer = Answer(abstention=Abstention.NO_IMAGE, abstention_reason="x")
    runs.complete_classification(claim=claim(row), answer=answer)
    deleted = delete_study(actor=reviewer, study=row.study, reason="Mistake")
    runs.sweep_classifications()

    restore_study(actor=reviewer, study=deleted)
    runs.sweep_classifications()

    assert states() == ["abstained"]
