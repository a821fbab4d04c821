"""Resumable uploads: the protocol by raw requests, what breaks in the middle, and what is kept."""

import base64
import datetime as dt
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Action, AuditEvent
from accounts.roles import Role
from records import tasks
from records.errors import UploadBusy
from records.intake import partial
from records.models import (
    Instance,
    Origin,
    Study,
    StudyState,
    Submission,
    SubmissionFile,
    SubmissionState,
    Upload,
    UploadState,
)
from records.services import (
    append_to_upload,
    close_submission,
    open_submission,
    open_upload,
)
from tests.factories import make_user
from tests.records.files import make_dicom, make_zip

pytestmark = pytest.mark.django_db

BYTES = "application/offset+octet-stream"
CONTENT = make_dicom()
SIZE = len(CONTENT)
HALF = SIZE // 2


class Tus:
    """A client of the protocol, as thin as can be."""

    def __init__(self, client: Client, submission: Submission, committing: Any) -> None:
        self.client = client
        self.address = reverse("api-submission-upload-list", args=[submission.pk])
        self.committing = committing

    def send(self, method, address, body, headers, content_type=BYTES, **environment):
        with self.committing(execute=True):
            return self.client.generic(
                method, address, body, content_type, headers=headers, **environment
            )

    def create(self, size=SIZE, body=b"", name="ct.dcm", fingerprint="", **headers):
        metadata = {"filename": name} | ({"fingerprint": fingerprint} if fingerprint else {})
        pairs = [f"{key} {base64.b64encode(v.encode()).decode()}" for key, v in metadata.items()]
        stated = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(size),
            "Upload-Metadata": ",".join(pairs),
        }
        return self.send("POST", self.address, body, stated | headers)

    def patch(self, address, offset, body, **headers):
        stated = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)} | headers
        return self.send("PATCH", address, body, stated)

    def head(self, address):
        return self.client.head(address, headers={"Tus-Resumable": "1.0.0"})

    def delete(self, address):
        return self.send("DELETE", address, b"", {"Tus-Resumable": "1.0.0"})

    def begun(self, body=CONTENT[:HALF], **options):
        """The address of an upload of which the first half has come."""
        return self.create(body=body, **options)["Location"]


class Breaking:
    """A connection that breaks after some of the bytes."""

    def __init__(self, content: bytes, after: int) -> None:
        self.left = content[:after]

    def read(self, size: int = -1, /) -> bytes:
        if not self.left:
            raise OSError("the connection broke")
        chunk, self.left = self.left[:size], self.left[size:]
        return chunk

    readline = read


@pytest.fixture
def submission(technician, department) -> Submission:
    return open_submission(actor=technician, department=department, origin=Origin.WEB)


@pytest.fixture
def tus(client, technician, submission, django_capture_on_commit_callbacks) -> Tus:
    client.force_login(technician)
    return Tus(client, submission, django_capture_on_commit_callbacks)


@pytest.fixture
def upload(technician, submission) -> Upload:
    return open_upload(actor=technician, submission=submission, name="ct.dcm", size=SIZE)


def partial_directory() -> Path:
    return Path(storages["images"].path(partial.PARTIAL))


def partial_files() -> list[str]:
    directory = partial_directory()
    return [path.name for path in directory.iterdir()] if directory.exists() else []


@pytest.fixture(autouse=True)
def _nothing_is_left_of_other_tests() -> None:
    for name in partial_files():
        (partial_directory() / name).unlink()


def grow_old(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))


def test_upload_in_two_pieces_files_the_very_bytes(tus):
    created = tus.create()
    address = created["Location"]
    first = tus.patch(address, 0, CONTENT[:HALF])
    between = tus.head(address)
    last = tus.patch(address, HALF, CONTENT[HALF:])

    assert (created.status_code, created["Upload-Offset"]) == (201, "0")
    assert (first.status_code, first["Upload-Offset"]) == (204, str(HALF))
    assert (between["Upload-Offset"], between["Upload-Length"]) == (str(HALF), str(SIZE))
    assert (last.status_code, last.content) == (204, b"")
    told = tus.client.get(address).json()
    instance = Instance.objects.get()
    assert (told["state"], told["files"][0]["verdict"]) == ("filed", "stored")
    assert told["files"][0]["instance"] == str(instance.pk)
    assert instance.sha256 == hashlib.sha256(CONTENT).hexdigest() == Upload.objects.get().sha256
    with instance.file.open() as stored:
        assert stored.read() == CONTENT


def test_creation_with_all_bytes_answers_with_the_verdict(tus):
    archive = make_zip({"a": CONTENT, "b": b"text"})

    small = tus.create(body=CONTENT)
    packed = tus.create(size=len(archive), body=archive, name="both.zip")
    empty = tus.create(size=0, name="nothing.dcm")

    assert [row["verdict"] for row in small.json()["files"]] == ["stored"]
    assert [row["code"] for row in packed.json()["files"]] == ["duplicate", "unknown_format"]
    assert [row["code"] for row in empty.json()["files"]] == ["empty_file"]
    assert {answer.status_code for answer in (small, packed, empty)} == {201}


def test_answers_name_the_protocol_and_what_it_offers(tus):
    offered = tus.client.options(tus.address)
    created = tus.create()

    assert offered.status_code == 204
    assert offered["Tus-Version"] == "1.0.0"
    assert {"creation", "expiration", "termination"} <= set(offered["Tus-Extension"].split(","))
    assert int(offered["Tus-Max-Size"]) == 1024**3
    assert created["Upload-Expires"].endswith("GMT")
    for answer in (offered, created, tus.head(created["Location"])):
        assert answer["Tus-Resumable"] == "1.0.0"
    assert tus.head(created["Location"])["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412, "tus_version_unsupported"),
        ({"Upload-Length": "many"}, 400, "tus_header_invalid"),
        ({"Upload-Length": "-1"}, 400, "tus_header_invalid"),
        ({"Upload-Length": str(2 * 1024**3)}, 413, "file_too_large"),
        ({"Upload-Metadata": "filename ???"}, 400, "tus_header_invalid"),
        ({"Upload-Metadata": "fingerprint bm90IGhleA=="}, 400, "tus_header_invalid"),
        ({"Upload-Checksum": "crc32 AAAA"}, 400, "tus_header_invalid"),
        ({"Content-Type": "text/plain"}, 415, "tus_content_type_invalid"),
    ],
)
def test_creation_is_refused_before_any_byte_is_kept(tus, headers, status, code):
    content_type = headers.pop("Content-Type", BYTES)
    stated = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)} | headers

    answer = tus.send("POST", tus.address, CONTENT, stated, content_type)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Tus-Resumable"] == "1.0.0"
    assert not Upload.objects.exists()
    assert not partial_files()


def test_wrong_offset_is_refused_and_changes_nothing(tus):
    address = tus.begun()

    for offset in (0, HALF - 1, HALF + 1):
        answer = tus.patch(address, offset, b"xyz")
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_mismatch")
    assert tus.patch(address, HALF, CONTENT[HALF:]).status_code == 204
    assert Instance.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_more_bytes_than_announced_are_refused(tus):
    address = tus.begun()

    answer = tus.patch(address, HALF, CONTENT[HALF:] + b"!")

    assert (answer.status_code, answer.json()["code"]) == (413, "upload_overrun")
    assert tus.head(address)["Upload-Offset"] == str(HALF)


def test_second_writer_is_told_that_the_file_is_busy(tus):
    address = tus.begun()
    upload = Upload.objects.get()

    with partial.exclusive(upload.pk):
        answers = [tus.patch(address, HALF, CONTENT[HALF:]), tus.delete(address)]
        asked = tus.head(address)

    assert {answer.status_code for answer in answers} == {423}
    assert {answer["Retry-After"] for answer in answers} == {"2"}
    assert asked["Upload-Offset"] == str(HALF)
    assert tus.patch(address, HALF, CONTENT[HALF:]).status_code == 204


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_checksum_decides_whether_bytes_are_kept(tus, algorithm):
    address = tus.begun()

    def counted(content: bytes) -> dict[str, str]:
        digest = hashlib.new(algorithm, content).digest()
        return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}

    altered = tus.patch(address, HALF, CONTENT[HALF:], **counted(CONTENT))
    held = tus.head(address)["Upload-Offset"]
    right = tus.patch(address, HALF, CONTENT[HALF:], **counted(CONTENT[HALF:]))

    assert (altered.status_code, altered.json()["code"]) == (460, "checksum_mismatch")
    assert held == str(HALF)
    assert right.status_code == 204
    assert Instance.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()


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


def test_upload_is_refused_before_the_disk_is_full(tus, settings):
    address = tus.begun()
    free = shutil.disk_usage(settings.DATA_DIR).free
    settings.INTAKE_MIN_FREE_BYTES = 2 * free

    created, patched = tus.create(), tus.patch(address, HALF, CONTENT[HALF:])

    for answer in (created, patched):
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_low")
        assert answer["Retry-After"] == "300"
    assert Upload.objects.count() == 1
    settings.INTAKE_MIN_FREE_BYTES = 0
    assert tus.patch(address, HALF, CONTENT[HALF:]).status_code == 204


def test_room_that_others_were_promised_counts(tus, settings):
    settings.INTAKE_MAX_FILE_BYTES = 10**18
    free = shutil.disk_usage(settings.DATA_DIR).free
    settings.INTAKE_MIN_FREE_BYTES = 0

    first = tus.create(size=free * 3 // 4)
    second = tus.create(size=free * 3 // 4)

    assert (first.status_code, second.status_code) == (201, 503)


def test_full_batch_refuses_before_any_byte(tus, settings):
    settings.INTAKE_MAX_FILES = 2
    tus.create(body=CONTENT)
    tus.begun()

    answer = tus.create()

    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_files")


def test_upload_is_its_sender_s_alone(tus, department):
    address = tus.begun()
    colleague = make_user(Role.TECHNICIAN, department=department)
    tus.client.force_login(colleague)

    answers = [tus.head(address), tus.patch(address, HALF, b"x"), tus.delete(address)]

    assert {answer.status_code for answer in answers} == {404}
    assert tus.create().status_code == 201


def test_session_needs_the_token_of_the_page(technician, submission):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(technician)
    strict.get(reverse("records:submit"))
    address = reverse("api-submission-upload-list", args=[submission.pk])
    stated = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)}
    token = {"X-CSRFToken": strict.cookies["csrftoken"].value}

    bare = strict.post(address, CONTENT, content_type=BYTES, headers=stated)
    complete = strict.post(address, CONTENT, content_type=BYTES, headers=stated | token)

    assert (bare.status_code, complete.status_code) == (403, 201)
    assert complete.json()["files"][0]["verdict"] == "stored"
    assert Upload.objects.count() == 1


def test_method_may_be_named_in_a_header(tus):
    address = tus.begun()
    stated = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(HALF)}

    answer = tus.send("POST", address, CONTENT[HALF:], stated | {"X-HTTP-Method-Override": "PATCH"})

    assert answer.status_code == 204
    assert Instance.objects.exists()


def test_api_keeps_a_submission_open_for_uploads_until_it_is_closed(tus):
    client = tus.client

    opened = client.post(reverse("api-submission-list"), {"keep_open": "true"})
    tus.address = reverse("api-submission-upload-list", args=[opened.json()["id"]])
    tus.create(body=CONTENT)
    closed = client.post(reverse("api-submission-close", args=[opened.json()["id"]]))

    assert (opened.status_code, opened.json()["state"]) == (201, "receiving")
    assert (closed.status_code, closed.json()["state"]) == (200, "stored")
    assert closed.json()["files"][0]["verdict"] == "stored"
    assert client.post(reverse("api-submission-list"), {}).status_code == 400


def test_strays_of_dead_processes_are_swept(upload):
    with partial.exclusive(upload.pk) as file:
        file.write(b"wanted")
    directory = partial_directory()
    for name in ("stray", f"{upload.pk}.whole", str(upload.pk)):
        (directory / name).touch()
        os.utime(directory / name, (time.time() - 10**6,) * 2)

    tasks.sweep_submissions()

    assert set(partial_files()) == {str(upload.pk), f"{upload.pk}.whole"}
