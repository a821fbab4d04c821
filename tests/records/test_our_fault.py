"""What is our own fault while files come in: 503 by every door, and never a verdict on a file."""

import contextlib
import io
import resource
import signal
from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from records.choices import SubmissionState, Verdict
from records.dicom.sandbox import pool as pool_module
from records.failure_reasons import OUT_OF_RESOURCES
from records.files.sandboxed import sandbox
from records.models import Instance, Study, Submission, SubmissionFile, Upload
from records.services import sweep_uploads
from records.services.submissions import sweep_submissions
from tests.dicom.files import make_dicom
from tests.factories import make_node
from tests.installation import as_superuser
from tests.records.dicomweb.messages import body_of
from tests.records.dicomweb.messages import store as store_by_stow
from tests.records.dimse import PEER, eventually, listening
from tests.records.test_dimse_store import store as store_by_dimse

pytestmark = pytest.mark.django_db(transaction=True)

UNLUCKY = 13
COLUMN = (
    "ALTER TABLE records_study ADD COLUMN newer text; "
    "ALTER TABLE records_study ALTER COLUMN newer SET NOT NULL",
    "ALTER TABLE records_study DROP COLUMN newer",
)
"""As a release finds it whose tables are a later one's that demands what it doesn't know."""
TRIGGER = (
    "CREATE FUNCTION break_down() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'broken'; END $$; "
    "CREATE TRIGGER a_break_down BEFORE INSERT ON records_instance FOR EACH ROW "
    f"WHEN (NEW.instance_number = {UNLUCKY}) EXECUTE FUNCTION break_down()",
    "DROP TRIGGER a_break_down ON records_instance; DROP FUNCTION break_down()",
)


@contextlib.contextmanager
def database_that_fails(break_it: str, mend_it: str) -> Iterator[None]:
    with as_superuser() as cursor:
        cursor.execute(break_it)
    try:
        yield
    finally:
        with as_superuser() as cursor:
            cursor.execute(mend_it)


@contextlib.contextmanager
def disk_that_takes(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`: writing more fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_readers() -> Iterator[None]:
    """The program that children are forked from can't be started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "NURSERY", "records.dicom.sandbox.nowhere")
        sandbox.pool.stop()
        yield
    sandbox.pool.stop()


CAUSES = {
    "column": (lambda: database_that_fails(*COLUMN), "intake_failed"),
    "trigger": (lambda: database_that_fails(*TRIGGER), "intake_failed"),
    "disk": (lambda: disk_that_takes(1000), "disk_full"),
    "readers": (no_readers, "readers_unavailable"),
}


@pytest.fixture
def browser(technician) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(technician)
    return client


@pytest.fixture(params=CAUSES)
def cause(request):
    """What breaks, and the code that it is told by."""
    return CAUSES[request.param]


def submit(browser: Client, *contents: bytes):
    files = [SimpleUploadedFile(f"{number}.dcm", each) for number, each in enumerate(contents)]
    return browser.post("/api/v1/submissions/", {"files": files})


def check_refusal(answer, code: str) -> None:
    assert answer.status_code == 503, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) > 0
    assert answer.json()["code"] == code


def nothing_is_told_of_files() -> bool:
    return not SubmissionFile.objects.exists() and not Instance.objects.exists()


def test_submission_is_answered_503_and_can_be_sent_again(browser, cause):
    break_down, code = cause
    content = make_dicom(InstanceNumber=UNLUCKY)
    with break_down():
        check_refusal(submit(browser, content), code)

    assert nothing_is_told_of_files()
    assert not Study.objects.exists()
    again = submit(browser, content)
    assert again.status_code == 201
    assert [file["verdict"] for file in again.json()["files"]] == ["stored"]


def test_file_that_fails_holds_none_of_the_others_back(browser):
    files = [make_dicom(), make_dicom(InstanceNumber=UNLUCKY), make_dicom()]
    with database_that_fails(*TRIGGER):
        answer = submit(browser, *files)

    check_refusal(answer, "intake_failed")
    assert {*SubmissionFile.objects.values_list("verdict", flat=True)} == {Verdict.STORED}
    assert Instance.objects.count() == 2
    assert Submission.objects.get().state == SubmissionState.PARTLY_STORED
    again = [file["verdict"] for file in submit(browser, *files).json()["files"]]
    assert again == ["duplicate", "stored", "duplicate"]


def test_stow_is_answered_503_and_can_be_sent_again(browser, cause):
    break_down, code = cause
    content = make_dicom(InstanceNumber=UNLUCKY)
    with break_down():
        check_refusal(store_by_stow(browser, body_of(content)), code)

    assert nothing_is_told_of_files()
    assert store_by_stow(browser, body_of(content)).status_code == 200


@pytest.mark.parametrize("name", ["column", "trigger", "readers"])
def test_c_store_is_answered_out_of_resources_and_can_be_sent_again(department, name):
    make_node(department=department, ae_title=PEER)
    content = make_dicom(InstanceNumber=UNLUCKY)
    with listening() as server:
        with CAUSES[name][0]():
            assert store_by_dimse(server, content) == [OUT_OF_RESOURCES]
        assert nothing_is_told_of_files()
        assert store_by_dimse(server, content) == [0]
        eventually(lambda: not Submission.objects.filter(state="receiving").exists())


@pytest.mark.parametrize("name", ["column", "trigger", "readers"])
def test_last_bytes_of_an_upload_are_answered_503_and_can_be_sent_again(tus, name):
    break_down, code = CAUSES[name]
    content = make_dicom(InstanceNumber=UNLUCKY)
    address = tus.create(size=len(content))["Location"]
    assert tus.patch(address, 0, content[:100]).status_code == 204
    with break_down():
        check_refusal(tus.patch(address, 100, content[100:]), code)
        assert tus.head(address)["Upload-Offset"] == "100"

    assert nothing_is_told_of_files()
    assert tus.patch(address, 100, content[100:]).status_code == 204
    assert tus.client.get(address).json()["files"][0]["verdict"] == "stored"


def test_small_upload_is_answered_503_and_begun_anew(tus, cause):
    break_down, code = cause
    content = make_dicom(InstanceNumber=UNLUCKY)
    with break_down():
        check_refusal(tus.create(size=len(content), body=content), code)

    assert nothing_is_told_of_files()
    assert not Upload.objects.exists()
    (file,) = tus.create(size=len(content), body=content).json()["files"]
    assert file["verdict"] == "stored"


def test_upload_that_never_can_be_filed_ends_with_its_time(tus, settings):
    """Its batch could never be closed else."""
    content = make_dicom(InstanceNumber=UNLUCKY)
    address = tus.create(size=len(content))["Location"]
    with database_that_fails(*TRIGGER):
        tus.patch(address, 0, content)
        upload = Upload.objects.get()
        # As if the process had died before it could say so.
        Upload.objects.update(offset=len(content))
        page = tus.client.post(reverse("records:submission-close", args=[upload.submission_id]))
        sweep_uploads()
        before = (page.status_code, Upload.objects.get().state)
        Upload.objects.update(expires_at=timezone.now())
        sweep_uploads()

    assert before == (503, "receiving")
    assert (page.json()["code"], int(page["Retry-After"])) == ("intake_failed", 60)
    file = SubmissionFile.objects.get()
    assert (file.verdict, file.code) == ("rejected", "upload_not_taken")
    settings.INTAKE_ABANDONED_AFTER = timezone.timedelta(0)
    assert sweep_submissions() == 1


def test_child_that_somebody_else_ends_costs_no_verdict(browser, pool):
    sandbox.examine(io.BytesIO(make_dicom()))
    striking = pool.die_of_it(signal.SIGKILL)
    answer = submit(browser, make_dicom())
    striking.join()

    check_refusal(answer, "readers_unavailable")
    assert nothing_is_told_of_files()
