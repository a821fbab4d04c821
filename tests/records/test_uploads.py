"""Resumable uploads: the protocol, by raw requests."""

import base64
import hashlib
import shutil

import pytest
from django.test import Client
from django.urls import reverse

from accounts.roles import Role
from records.files import partial
from records.models import (
    Instance,
    Upload,
)
from tests.dicom.files import make_zip
from tests.factories import make_user
from tests.records.tus import BYTES, CONTENT, HALF, SIZE, partial_files

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nothing_is_left_of_other_uploads"),
]


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


def test_upload_is_refused_before_the_disk_is_full(tus, settings):
    address = tus.begun()
    free = shutil.disk_usage(settings.DATA_DIR).free
    settings.INTAKE_MIN_FREE_BYTES = 2 * free

    created, patched = tus.create(), tus.patch(address, HALF, CONTENT[HALF:])

    for answer in (created, patched):
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_low")
        assert answer["Retry-After"] == "300"
    assert Upload.objects.count() == 1
    settings.INTAKE_MIN_FREE_BYTES = settings.INTAKE_MIN_FREE_PERCENT = 0
    assert tus.patch(address, HALF, CONTENT[HALF:]).status_code == 204


def test_room_that_one_was_promised_counts(tus, settings):
    settings.INTAKE_MAX_FILE_BYTES = 10**18
    free = shutil.disk_usage(settings.DATA_DIR).free
    settings.INTAKE_MIN_FREE_BYTES = settings.INTAKE_MIN_FREE_PERCENT = 0

    first = tus.create(size=free * 3 // 4)
    second = tus.create(size=free * 3 // 4)

    assert (first.status_code, second.status_code) == (201, 429)
    assert second.json()["code"] == "upload_share_used"


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
