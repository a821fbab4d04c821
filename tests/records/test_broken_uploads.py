"""Resumable uploads that end before the file does: what is kept, what goes, and what is said."""

import datetime as dt
import hashlib
import os
import time

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from records import tasks
from records.choices import Action, StudyState, SubmissionState, UploadState
from records.errors import UploadBusy
from records.files import partial
from records.models import Instance, Study, Submission, SubmissionFile, Upload
from records.services import append_to_upload, close_submission
from tests.records.tus import CONTENT, HALF, SIZE, Breaking, partial_directory, partial_files

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nothing_is_left_of_other_uploads"),
]


def grow_old(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))


def test_cancelled_upload_is_gone_and_listed_without_harm(tus, submission, technician):
    address = tus.begun()

    assert tus.delete(address).status_code == 204

    answers = [tus.head(address), tus.patch(address, HALF, b"x"), tus.delete(address)]
    assert {answer.status_code for answer in answers} == {410}
    assert not partial_files()
    verdict = submission.files.get()
    assert (verdict.verdict, verdict.code) == ("rejected", "upload_cancelled")
    assert AuditEvent.objects.filter(action=Action.FILE_REJECTED).count() == 1
    tus.create(body=CONTENT)
    closed = close_submission(actor=technician, submission=submission)
    assert closed.state == SubmissionState.STORED


def test_expired_upload_can_not_go_on_and_is_swept(tus, submission):
    address = tus.begun()
    grow_old(Upload.objects.get())

    answers = [tus.head(address), tus.patch(address, HALF, CONTENT[HALF:])]
    with tus.committing(execute=True):
        tasks.sweep_submissions()
        tasks.sweep_submissions()

    assert {answer.status_code for answer in answers} == {410}
    assert answers[1].json()["code"] == "upload_gone"
    verdict = submission.files.get()
    assert verdict.code == "upload_unfinished"
    assert f"{HALF}" in verdict.message
    assert not partial_files()
    assert not Upload.objects.exists()
    assert AuditEvent.objects.filter(action=Action.FILE_REJECTED).count() == 1


def test_closing_lists_what_came_only_in_part(tus, submission, technician):
    tus.create(body=CONTENT)
    address = tus.begun()

    closed = close_submission(actor=technician, submission=submission)
    late = tus.patch(address, HALF, CONTENT[HALF:])

    assert closed.state == SubmissionState.PARTLY_STORED
    codes = set(submission.files.values_list("code", flat=True))
    assert codes == {"stored", "upload_unfinished"}
    assert Study.objects.get().state == StudyState.COMPLETE
    assert late.status_code == 410
    assert tus.create().status_code == 409


def test_closing_waits_while_a_file_is_written(tus, submission, technician):
    tus.begun()

    with partial.exclusive(Upload.objects.get().pk), pytest.raises(UploadBusy):
        close_submission(actor=technician, submission=submission)

    submission.refresh_from_db()
    assert submission.state == SubmissionState.RECEIVING


def test_bytes_keep_the_submission_alive_and_nothing_else_does(tus, submission):
    address = tus.begun()
    long_ago = timezone.now() - dt.timedelta(days=1)
    Submission.objects.update(touched_at=long_ago)

    tus.head(address)
    asked = Submission.objects.get().touched_at
    tus.patch(address, HALF, CONTENT[HALF:-1])
    sent = Submission.objects.get().touched_at

    assert asked == long_ago
    assert sent > long_ago + dt.timedelta(hours=23)


def test_broken_connection_keeps_what_came(technician, upload):
    begun = append_to_upload(
        actor=technician,
        upload=upload,
        offset=0,
        length=SIZE,
        stream=Breaking(CONTENT, after=300),
    )

    assert begun.offset == Upload.objects.get().offset == 300
    assert begun.state == UploadState.RECEIVING


def test_bytes_beyond_what_is_known_to_be_safe_are_sent_again(tus, technician, upload):
    """The server died after it wrote and before it could say so."""
    with partial.exclusive(upload.pk) as file:
        file.write(b"from before the power failed")
    address = reverse("api-submission-upload-detail", args=[upload.submission_id, upload.pk])

    assert tus.head(address)["Upload-Offset"] == "0"
    tus.patch(address, 0, CONTENT)

    assert Instance.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert not partial_files()


def test_bytes_that_the_disk_lost_are_never_made_up(tus, submission):
    address = tus.begun()
    (lost,) = partial_files()
    (partial_directory() / lost).write_bytes(b"")

    answer = tus.patch(address, HALF, CONTENT[HALF:])

    assert answer.status_code == tus.head(address).status_code == 410
    assert submission.files.get().code == "upload_unfinished"


@pytest.mark.parametrize("ended_by", ["sweeper", "closing", "client"])
def test_whole_file_is_filed_once_after_the_server_died_over_it(
    tus, submission, technician, upload, ended_by
):
    """Every byte was in, the row said so, and the process was gone before intake began."""
    with partial.exclusive(upload.pk) as file:
        file.write(CONTENT)
    Upload.objects.update(offset=SIZE)
    address = reverse("api-submission-upload-detail", args=[submission.pk, upload.pk])

    if ended_by == "sweeper":
        tasks.sweep_submissions()
        tasks.sweep_submissions()
    elif ended_by == "closing":
        close_submission(actor=technician, submission=submission)
    else:
        assert tus.patch(address, SIZE, b"").status_code == 204

    assert tus.client.get(address).json()["state"] == "filed"
    assert submission.files.get().verdict == "stored"
    assert Instance.objects.count() == 1


def test_same_file_begun_anew_replaces_the_unfinished_one(tus, submission, technician):
    print_of_file = hashlib.sha256(b"the file").hexdigest()
    orphan = tus.begun(fingerprint=print_of_file)

    again = tus.create(body=CONTENT, fingerprint=print_of_file)

    assert again.json()["files"][0]["verdict"] == "stored"
    assert tus.head(orphan).status_code == 404
    assert close_submission(actor=technician, submission=submission).state == SubmissionState.STORED
    assert not partial_files()


def test_creation_that_breaks_off_leaves_nothing(tus, submission):
    stated = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)}

    answer = tus.send(
        "POST",
        tus.address,
        CONTENT,
        stated,
        **{"wsgi.input": Breaking(CONTENT, after=HALF)},
    )

    assert answer.status_code == 410
    assert not Upload.objects.exists()
    assert not SubmissionFile.objects.exists()
    assert not partial_files()


def test_strays_of_dead_processes_are_swept(upload):
    with partial.exclusive(upload.pk) as file:
        file.write(b"wanted")
    directory = partial_directory()
    for name in ("stray", f"{upload.pk}.whole", str(upload.pk)):
        (directory / name).touch()
        os.utime(directory / name, (time.time() - 10**6,) * 2)

    tasks.sweep_submissions()

    assert set(partial_files()) == {str(upload.pk), f"{upload.pk}.whole"}
