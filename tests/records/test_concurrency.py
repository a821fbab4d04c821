"""Two senders at once: one row, whoever comes first."""

import io
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection
from pydicom.uid import generate_uid

from accounts.models import AuditEvent
from records.choices import Action, Origin, SubmissionState
from records.models import (
    IdentityConflict,
    Instance,
    Patient,
    Series,
    Study,
    Submission,
    SubmissionFile,
)
from records.services import DeclaredFields, open_submission, receive_file, submit_study
from tests.dicom.files import make_dicom, make_png

pytestmark = pytest.mark.django_db(transaction=True)

SENDERS = 6


def run_at_once(work: Callable[[int], object], count: int = SENDERS) -> list[BaseException]:
    """Run `work` in threads that start together, and return what they raised."""
    start = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait(timeout=20)
            work(number)
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return failures


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (make_dicom(), DeclaredFields()),
        (make_dicom(PatientID=None, PatientName=None), DeclaredFields()),
        (make_png(), DeclaredFields(patient_id="P-1")),
    ],
    ids=["dicom", "nameless", "png"],
)
def test_same_file_from_many_senders_at_once_is_stored_once(
    technician, department, content, declared
):
    failures = run_at_once(
        lambda _: submit_study(
            actor=technician,
            department=department,
            files=[("a", io.BytesIO(content))],
            declared=declared,
        )
    )

    assert failures == []
    verdicts = Counter(SubmissionFile.objects.values_list("verdict", flat=True))
    assert verdicts == {"stored": 1, "duplicate": SENDERS - 1}
    assert Instance.objects.count() == Study.objects.count() == Series.objects.count() == 1
    assert Patient.objects.count() == 1
    assert Study.objects.get().instance_count == 1
    assert AuditEvent.objects.filter(action=Action.FILE_STORED).count() == 1
    assert set(Submission.objects.values_list("state", flat=True)) == {SubmissionState.STORED}


def test_different_bytes_under_one_uid_at_once_keep_the_first(technician, department):
    uid = generate_uid()

    failures = run_at_once(
        lambda number: submit_study(
            actor=technician,
            department=department,
            files=[("a", io.BytesIO(make_dicom(SOPInstanceUID=uid, InstanceNumber=number)))],
        )
    )

    assert failures == []
    codes = Counter(SubmissionFile.objects.values_list("code", flat=True))
    assert codes == {"stored": 1, "uid_conflict": SENDERS - 1}
    assert Instance.objects.count() == 1


def test_another_person_from_many_senders_at_once_raises_one_conflict(technician, department):
    def send(**elements: str) -> None:
        files = [("a", io.BytesIO(make_dicom(**elements)))]
        submit_study(actor=technician, department=department, files=files)

    send()

    failures = run_at_once(lambda _: send(PatientName="Beispiel^Max"))

    assert failures == []
    assert set(SubmissionFile.objects.values_list("verdict", flat=True)) == {"stored"}
    conflict = IdentityConflict.objects.get()
    assert conflict.sent_patient.studies.filter(is_in_question=True).count() == SENDERS
    assert Patient.objects.count() == 2


def test_slices_of_one_study_sent_at_once_make_one_study(technician, department):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    submission = open_submission(actor=technician, department=department, origin=Origin.WEB)

    failures = run_at_once(
        lambda number: receive_file(
            actor=technician,
            submission=submission,
            name=str(number),
            stream=io.BytesIO(make_dicom(InstanceNumber=number, **uids)),
        )
    )

    assert failures == []
    study = Study.objects.get()
    assert study.instance_count == Instance.objects.count() == SENDERS
    assert Series.objects.count() == Patient.objects.count() == 1
