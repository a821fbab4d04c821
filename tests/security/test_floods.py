"""Rows that nobody can delete: how many of them one request, or one association, can add."""

import io
import socket
import time
from urllib.parse import urlsplit

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.services import issue_token
from records.choices import Action, SubmissionState
from records.models import Instance, Study, Submission, SubmissionFile
from records.services import delete_study, sweep_submissions
from tests.dicom.files import make_dicom, make_zip
from tests.factories import make_department, make_node, make_user
from tests.gunicorn import Gunicorn
from tests.records.dicomweb.messages import FAILED, OTHER_FAILED, answer_of, body_of, store
from tests.records.dimse import PEER, eventually, listening, port_of

BAD = b"not an image"


@pytest.fixture
def department(db):
    return make_department()


@pytest.fixture
def technician(department):
    return make_user(Role.TECHNICIAN, department=department)


@pytest.fixture
def browser(client, technician):
    client.force_login(technician)
    return client


def stow_of(count: int, part: bytes = BAD) -> bytes:
    head = b"--a b\r\nContent-Type: application/dicom\r\n\r\n"
    return (head + part + b"\r\n") * count + b"--a b--\r\n"


def rejections() -> int:
    return AuditEvent.objects.filter(action=Action.FILE_REJECTED).count()


def post_files(client, *contents: bytes, **fields):
    files = []
    for number, content in enumerate(contents):
        file = io.BytesIO(content)
        file.name = f"file{number}"
        files.append(file)
    return client.post("/api/v1/submissions/", {"files": files, **fields})


def test_stow_beyond_the_limit_ends_with_one_event(browser, settings):
    settings.INTAKE_MAX_FILES = 20

    answer = store(browser, stow_of(3000))

    assert answer.status_code == 413
    assert answer.json()["code"] == "too_many_files"
    assert "20 files" in answer.json()["detail"]
    assert SubmissionFile.objects.count() == 21
    assert rejections() == 21
    last = AuditEvent.objects.filter(action=Action.FILE_REJECTED).order_by("-id")[0]
    assert (last.details["code"], last.details["taken"]) == ("too_many_files", 20)
    assert Submission.objects.get().state == SubmissionState.REJECTED


def test_stow_to_another_study_is_counted_like_any_other(browser, settings):
    settings.INTAKE_MAX_FILES = 20

    answer = store(browser, stow_of(400), path=f"studies/{generate_uid()}")

    assert answer.status_code == 413
    assert SubmissionFile.objects.count() == 21


def test_stow_keeps_what_came_before_the_limit(browser, settings):
    settings.INTAKE_MAX_FILES = 2

    answer = store(browser, body_of(make_dicom(), make_dicom(), make_dicom()))

    assert answer.status_code == 413
    assert Instance.objects.count() == 2
    assert Submission.objects.get().state == SubmissionState.PARTLY_STORED


def test_stow_of_many_bad_parts_names_each_and_writes_few(browser, settings):
    settings.INTAKE_REFUSALS_TOLD = 10
    broken = [make_dicom(StudyInstanceUID=None) for _ in range(30)]

    answer = answer_of(store(browser, body_of(make_dicom(), *broken, BAD, BAD)))

    named = {item["00081155"]["Value"][0] for item in answer[FAILED]["Value"]}
    assert len(named) == 30
    assert len(answer[OTHER_FAILED]["Value"]) == 2
    assert SubmissionFile.objects.count() == 1 + 10 + 1
    assert rejections() == 10 + 1
    last = AuditEvent.objects.filter(action=Action.FILE_REJECTED).order_by("-id")[0]
    assert last.details["files"] == 22
    assert sum(last.details["codes"].values()) == 22
    closed = AuditEvent.objects.get(action=Action.SUBMISSION_CLOSED)
    assert closed.details["refused"] == 32


def test_form_beyond_the_limit_ends_with_one_event(browser, settings):
    settings.INTAKE_MAX_FILES = 5

    answer = post_files(browser, *[BAD] * 60)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_files")
    assert rejections() == 6
    assert Submission.objects.get().state == SubmissionState.REJECTED


def test_form_names_each_refusal_and_writes_few(browser, settings):
    settings.INTAKE_REFUSALS_TOLD = 10

    answer = post_files(browser, *[BAD] * 60, make_dicom())

    files = {file["name"]: file["code"] for file in answer.json()["files"]}
    assert {files[f"file{number}"] for number in range(60)} == {"unknown_format"}
    assert files["file60"] == "stored"
    assert rejections() == 11
    listed = browser.get("/api/v1/submissions/").json()["results"][0]
    assert (listed["rejected_count"], listed["stored_count"]) == (60, 1)
    page = browser.get(Submission.objects.get().get_absolute_url()).content.decode()
    assert "50 more files" in page


def test_objects_that_can_t_be_filed_are_counted_too(browser, settings):
    settings.INTAKE_REFUSALS_TOLD = 5
    uid = generate_uid()
    store(browser, body_of(make_dicom(StudyInstanceUID=uid)))
    delete_study(actor=None, study=Study.objects.get(), reason="Sent by mistake")
    late = [make_dicom(StudyInstanceUID=uid) for _ in range(40)]

    answer = answer_of(store(browser, body_of(*late)))

    codes = {item["00091001"]["Value"][0] for item in answer[FAILED]["Value"]}
    assert (codes, len(answer[FAILED]["Value"])) == ({"study_deleted"}, 40)
    assert rejections() == 6


def test_archive_of_four_thousand_bad_entries_writes_few(browser):
    content = make_zip({f"{number}.bin": BAD for number in range(4000)})

    answer = post_files(browser, content)

    assert answer.status_code == 201
    assert SubmissionFile.objects.count() <= 102
    assert rejections() <= 102


def test_archive_beyond_the_limit_writes_one_more(browser, settings):
    settings.INTAKE_MAX_FILES = 7
    content = make_zip({f"{number}.dcm": make_dicom() for number in range(12)})

    answer = post_files(browser, content)

    codes = [file["code"] for file in answer.json()["files"]]
    assert codes == ["stored"] * 7 + ["too_many_files"]
    assert rejections() == 1


def test_left_open_batch_still_gets_its_one_event(browser, settings):
    """The sender goes away, and the sweeper ends what it left."""
    settings.INTAKE_REFUSALS_TOLD = 3
    post_files(browser, *[BAD] * 10, keep_open="true")
    assert rejections() == 3
    Submission.objects.update(touched_at="2020-01-01T00:00Z")

    assert sweep_submissions() == 1

    assert rejections() == 4
    counting = SubmissionFile.objects.get(code="more_refused")
    assert (counting.count, counting.counted) == (7, {"unknown_format": 7})


def test_harmless_leftovers_beyond_the_first_leave_a_batch_whole(browser, settings):
    settings.INTAKE_REFUSALS_TOLD = 2
    leftovers = {f"__MACOSX/._{number}": BAD for number in range(9)}

    answer = post_files(browser, make_zip({"a.dcm": make_dicom(), **leftovers}))

    assert answer.json()["state"] == "stored"


@pytest.mark.django_db(transaction=True)
def test_association_of_bad_objects_writes_few(department, settings):
    settings.INTAKE_REFUSALS_TOLD = 5
    make_node(department=department, ae_title=PEER)
    dataset = dcmread(io.BytesIO(make_dicom(StudyInstanceUID=None)))
    with listening() as server:
        peer = AE(ae_title=PEER)
        peer.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        association = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
        statuses = {association.send_c_store(dataset).Status for _ in range(40)}
        association.release()
        eventually(lambda: not Submission.objects.filter(state="receiving").exists())

    assert statuses == {0xA900}
    assert SubmissionFile.objects.count() == 6
    assert rejections() == 6
    assert SubmissionFile.objects.get(code="more_refused").count == 35


@pytest.mark.django_db(transaction=True)
def test_nothing_is_read_on_once_the_sender_has_hung_up(technician, tmp_path):
    _, token = issue_token(actor=technician, user=technician, name="x", days=1)
    server = Gunicorn(tmp_path / "log")
    server.start()
    body = stow_of(200_000, b"x")
    head = (
        "POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Token {token}\r\nContent-Length: {len(body)}\r\n"
        'Content-Type: multipart/related; type="application/dicom"; boundary="a b"\r\n\r\n'
    )
    try:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head.encode() + body[:4_000_000])
            time.sleep(0.5)
        eventually(
            lambda: AuditEvent.objects.filter(action=Action.SUBMISSION_CLOSED).exists(),
            patience_s=40,
        )
        rows = SubmissionFile.objects.count()
        time.sleep(2)
        assert SubmissionFile.objects.count() == rows
        assert rows <= 102
        assert AuditEvent.objects.count() <= 110
        assert not Study.objects.exists()
    finally:
        server.stop()
