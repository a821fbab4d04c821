"""Asking for a classification: what is queued, what abstains, what is superseded."""

import pytest
from django.db import connection

from accounts.errors import NotYourDepartment
from accounts.models import AuditEvent, User
from accounts.roles import Role
from classifier.choices import Action
from classifier.errors import NotRerunnable
from classifier.models import Classification
from classifier.services import runs
from classifier.services.requests import request_classifications, rerun_classification
from classifier.services.reviews import review_classification
from records.models import Study
from records.signals import study_completed
from tests import factories


def events_since(marker: int) -> list[str]:
    return list(
        AuditEvent.objects.filter(id__gt=marker).order_by("id").values_list("action", flat=True)
    )


def newest_event() -> int:
    newest = AuditEvent.objects.order_by("-id").first()
    return newest.id if newest else 0


@pytest.mark.parametrize(
    ("modality", "body_part", "task"),
    [
        ("CR", "CHEST", "chest-xray"),
        ("DX", "Thorax", "chest-xray"),
        ("CT", "CHEST", "lung-ct"),
        ("MR", "BRAIN", "brain-mri"),
        ("XC", "SKIN", "skin-lesion"),
        ("OP", "RETINA", "retina"),
    ],
)
def test_request_classifications_queues_the_task_of_modality_and_body_part(
    department, technician, modality, body_part, task
):
    study = factories.make_study(department=department, modality=modality, body_part=body_part)
    marker = newest_event()
    rows = request_classifications(actor=technician, study=study)
    assert [(row.task, row.state) for row in rows] == [(task, "queued")]
    assert events_since(marker) == [Action.CLASSIFICATION_QUEUED]


@pytest.mark.parametrize(("modality", "body_part"), [("CR", "KNEE"), ("US", "CHEST"), ("CR", "")])
def test_request_classifications_abstains_when_no_task_looks_at_it(
    department, technician, modality, body_part
):
    study = factories.make_study(department=department, modality=modality, body_part=body_part)
    marker = newest_event()
    (row,) = request_classifications(actor=technician, study=study)
    assert (row.task, row.state, row.abstention) == ("", "abstained", "no_task")
    assert row.abstention_reason
    assert events_since(marker) == [Action.CLASSIFICATION_ABSTAINED]


def test_request_classifications_reads_the_description_when_the_body_part_is_empty(
    department, technician
):
    study = factories.make_study(
        department=department, modality="CR", body_part="", description="Chest PA"
    )
    assert request_classifications(actor=technician, study=study)[0].task == "chest-xray"


def test_request_classifications_abstains_when_no_instance_is_an_image(department, technician):
    study = factories.make_study(department=department)
    study.series.get().instances.update(exclusion="unsupported_transfer_syntax")
    (row,) = request_classifications(actor=technician, study=study)
    assert (row.state, row.abstention) == ("abstained", "no_image")


def test_study_completed_queues_inside_the_same_transaction(study, technician):
    study_completed.send(sender=Study, study=study, actor=technician)
    assert Classification.objects.get(study=study).state == "queued"


def test_request_classifications_supersedes_and_keeps_the_earlier_one(study, technician, answered):
    (new,) = request_classifications(actor=technician, study=study)
    answered.refresh_from_db()
    assert (answered.state, answered.label) == ("superseded", "pneumonia")
    assert (new.state, new.supersedes) == ("queued", answered)
    assert Classification.objects.filter(study=study).current().get() == new


def test_request_classifications_makes_a_running_worker_s_answer_late(
    study, technician, claim, answer
):
    request_classifications(actor=technician, study=study)
    assert not runs.complete_classification(claim=claim, answer=answer)
    old = Classification.objects.get(pk=claim.classification_id)
    assert (old.state, old.label) == ("superseded", "")


def test_request_classifications_retires_a_task_that_the_study_no_longer_raises(
    study, technician, queued
):
    study.series.update(body_part_examined="KNEE")
    (row,) = request_classifications(actor=technician, study=study)
    queued.refresh_from_db()
    assert (queued.state, row.task) == ("superseded", "")


def test_rerun_classification_queues_again_when_it_abstained(study, technician, answered):
    marker = newest_event()
    new = rerun_classification(actor=technician, classification=answered)
    assert (new.state, new.supersedes_id, new.requested_by) == ("queued", answered.pk, technician)
    assert events_since(marker) == [Action.CLASSIFICATION_QUEUED]


def test_rerun_classification_refuses_while_it_runs(technician, claim):
    row = Classification.objects.get(pk=claim.classification_id)
    with pytest.raises(NotRerunnable):
        rerun_classification(actor=technician, classification=row)


def test_rerun_classification_refuses_when_a_person_has_decided(technician, reviewer, answered):
    review_classification(actor=reviewer, classification=answered, decision="confirm")
    with pytest.raises(NotRerunnable):
        rerun_classification(actor=technician, classification=answered)


def test_rerun_classification_refuses_another_department(answered):
    stranger: User = factories.make_user(Role.TECHNICIAN)
    with pytest.raises(NotYourDepartment):
        rerun_classification(actor=stranger, classification=answered)


def test_two_current_classifications_are_refused_by_the_database(queued):
    with pytest.raises(Exception, match="classification_one_current"):
        Classification.objects.create(study=queued.study, task=queued.task)
    assert connection.needs_rollback
