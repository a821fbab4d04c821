"""Batches: how they end, by hand or by the sweeper, and who hears of complete studies."""

import datetime as dt
import io
import os
import time
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from accounts.models import AuditEvent
from records import tasks
from records.choices import Action, Origin, StudyState, SubmissionState
from records.models import Study, Submission
from records.services import (
    DeclaredFields,
    close_submission,
    complete_study,
    open_submission,
    receive_file,
    sweep_submissions,
)
from records.signals import study_completed
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db


@pytest.fixture
def submission(technician, department) -> Submission:
    return open_submission(actor=technician, department=department, origin=Origin.WEB)


@pytest.fixture
def heard():
    """The studies that were announced as complete."""
    studies: list[Study] = []

    def listen(*, study, **kwargs):
        studies.append(study)

    study_completed.connect(listen)
    yield studies
    study_completed.disconnect(listen)


def receive(submission, content):
    return receive_file(
        actor=submission.created_by, submission=submission, name="a", stream=io.BytesIO(content)
    )


def test_open_submission_keeps_what_was_declared_and_records_it_once(technician, department):
    declared = DeclaredFields(patient_id=" P-1 ", birth_date=dt.date(1980, 2, 29), modality="cr")

    submission = open_submission(
        actor=technician, department=department, origin=Origin.API, declared=declared
    )

    stored = DeclaredFields.from_json(Submission.objects.get().declared)
    assert (stored.patient_id, stored.birth_date, stored.modality) == (
        "P-1",
        dt.date(1980, 2, 29),
        "CR",
    )
    event = AuditEvent.objects.get()
    assert (event.action, event.target_id) == (Action.SUBMISSION_OPENED, str(submission.pk))
    assert "P-1" not in str(event.details)


def test_close_submission_completes_its_studies_once(submission, heard):
    receive(submission, make_dicom())
    receive(submission, make_dicom(PatientID="P-2"))
    assert set(Study.objects.values_list("state", flat=True)) == {StudyState.OPEN}

    close_submission(actor=submission.created_by, submission=submission)
    close_submission(actor=submission.created_by, submission=submission)

    assert set(Study.objects.values_list("state", flat=True)) == {StudyState.COMPLETE}
    assert len(heard) == 2
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_CLOSED).count() == 1


def test_close_submission_leaves_other_open_studies_alone(submission, technician, department):
    other = open_submission(actor=technician, department=department, origin=Origin.WEB)
    receive(submission, make_dicom())
    receive(other, make_dicom(PatientID="P-2"))

    close_submission(actor=technician, submission=submission)

    assert Study.objects.get(patient__mrn="P-2").state == StudyState.OPEN


def test_close_submission_completes_a_study_that_was_sent_again_after_a_broken_batch(
    submission, technician, department, heard
):
    content = make_dicom()
    receive(submission, content)  # and then the sender's connection broke
    again = open_submission(actor=technician, department=department, origin=Origin.API)

    (file,) = receive(again, content)
    close_submission(actor=technician, submission=again)

    assert file.verdict == "duplicate"
    assert Study.objects.get().state == StudyState.COMPLETE
    assert len(heard) == 1


def test_complete_study_again_changes_nothing(submission, heard):
    receive(submission, make_dicom())
    study = Study.objects.get()

    for _ in range(2):
        complete_study(actor=None, study=study)

    assert len(heard) == 1
    assert AuditEvent.objects.filter(action=Action.STUDY_COMPLETED).count() == 1


@pytest.mark.parametrize("run", [sweep_submissions, tasks.sweep_submissions])
def test_sweeper_closes_what_its_sender_left_and_nothing_else(
    submission, technician, department, heard, run
):
    receive(submission, make_dicom())
    fresh = open_submission(actor=technician, department=department, origin=Origin.WEB)
    long_ago = timezone.now() - dt.timedelta(hours=2)
    Submission.objects.filter(pk=submission.pk).update(touched_at=long_ago)

    run()
    run()

    submission.refresh_from_db()
    fresh.refresh_from_db()
    assert (submission.state, fresh.state) == (SubmissionState.STORED, SubmissionState.RECEIVING)
    assert len(heard) == 1
    event = AuditEvent.objects.get(action=Action.SUBMISSION_CLOSED)
    assert (event.actor_kind, event.actor_id) == ("system", None)


def test_sweeper_goes_on_after_a_batch_that_cannot_be_closed(
    submission, technician, department, caplog
):
    receive(submission, make_dicom())
    other = open_submission(actor=technician, department=department, origin=Origin.WEB)
    long_ago = timezone.now() - dt.timedelta(hours=2)
    Submission.objects.update(touched_at=long_ago)

    def fail(**kwargs):
        raise RuntimeError

    study_completed.connect(fail)
    try:
        closed = sweep_submissions()
    finally:
        study_completed.disconnect(fail)

    other.refresh_from_db()
    submission.refresh_from_db()
    assert closed == 1
    assert (other.state, submission.state) == (SubmissionState.REJECTED, SubmissionState.RECEIVING)
    assert str(submission.pk) in caplog.text


def test_sweeper_removes_what_dead_processes_left(submission):
    receive(submission, make_dicom())
    incoming = Path(storages["images"].path("incoming"))
    old, new = incoming / "old", incoming / "new"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 90_000,) * 2)

    sweep_submissions()

    assert (old.exists(), new.exists()) == (False, True)
    new.unlink()


def test_receiving_leaves_no_temporary_file(submission):
    for content in (make_dicom(), b"nothing", b"", make_dicom(StudyInstanceUID=None)):
        receive(submission, content)

    assert list(Path(storages["images"].path("incoming")).iterdir()) == []


def test_listener_that_fails_takes_the_completion_back(submission):
    receive(submission, make_dicom())

    def fail(**kwargs):
        raise RuntimeError

    study_completed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            close_submission(actor=submission.created_by, submission=submission)
    finally:
        study_completed.disconnect(fail)

    submission.refresh_from_db()
    assert submission.state == SubmissionState.RECEIVING
    assert Study.objects.get().state == StudyState.OPEN
