"""Real and hostile files, all of them: no crash, a verdict for every one."""

import base64
import io
from pathlib import Path

import psutil
import pydicom
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from records.choices import Action, SubmissionState, Verdict
from records.files.sandboxed import sandbox
from records.files.spool import spool_directory
from records.models import Instance, Patient, Study, Submission, SubmissionFile
from records.services import submit_study
from records.services.reception import EXAMINED_AT_ONCE
from tests.dicom.files import SAMPLES, make_zip
from tests.prerequisites import SHARED, require_shared, skip_or_fail

pytestmark = pytest.mark.django_db

PYDICOM = Path(pydicom.__file__).parent / "data"
FOLDERS = [
    pytest.param(SHARED / "dicom" / name, id=name, marks=pytest.mark.slow)
    for name in ("malformed", "assorted", "transfer-syntaxes", "charsets", "chest")
]


@pytest.fixture(autouse=True)
def every_refusal_is_told(settings):
    """These folders hold more bad files than a batch is told of one by one."""
    settings.INTAKE_REFUSALS_TOLD = 1000


@pytest.mark.parametrize("folder", [*FOLDERS, pytest.param(PYDICOM, id="pydicom")])
def test_every_file_of_a_folder_gets_a_verdict(technician, department, folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        skip_or_fail(f"{folder.name} of ../shared/dicom is not on this machine")

    submission = submit_study(actor=technician, department=department, files=files)

    verdicts = submission.files.all()
    # An archive among the files gives a verdict for each of its own.
    assert {verdict.name.split("/")[0] for verdict in verdicts} == {path.name for path in files}
    assert not verdicts.filter(code="unexpected").exists()
    assert submission.state == SubmissionState.PARTLY_STORED
    events = AuditEvent.objects.filter(action__startswith="file.")
    assert events.exclude(action=Action.FILE_QUARANTINED).count() == verdicts.count()
    assert Instance.objects.count() == verdicts.filter(verdict=Verdict.STORED).count()
    assert all(verdict.action for verdict in verdicts.filter(verdict=Verdict.REJECTED))


def through_service(technician, department, files):
    submit_study(actor=technician, department=department, files=files)


def through_pages(technician, department, files):
    client = Client()
    client.force_login(technician)
    opened = client.post(
        reverse("records:submission-create"), {"department": department.pk, "priority": "routine"}
    ).json()
    for path in files:
        name = base64.b64encode(path.name.encode()).decode()
        answer = client.post(
            opened["upload_url"],
            path.read_bytes(),
            content_type="application/offset+octet-stream",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Length": str(path.stat().st_size),
                "Upload-Metadata": f"filename {name}",
            },
        )
        assert answer.status_code == 201
    assert client.post(opened["close_url"]).status_code == 200


def through_api(technician, department, files):
    client = APIClient()
    client.force_authenticate(technician)
    sent = [SimpleUploadedFile(path.name, path.read_bytes()) for path in files]
    answer = client.post("/api/v1/submissions/", {"files": sent}, format="multipart")
    assert answer.status_code == 201


def through_archive(technician, department, files):
    packed = make_zip({path.name: path.read_bytes() for path in files})
    submit_study(actor=technician, department=department, files=[("x.zip", io.BytesIO(packed))])


def open_beside_children(*processes: psutil.Process) -> list[int]:
    """Open files but for the one that each keeps for every child."""
    children = len(processes[-1].children())
    return [process.num_fds() - children for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("send_all", [through_service, through_pages, through_api, through_archive])
def test_hostile_files_leave_nothing_behind_but_their_verdicts(technician, department, send_all):
    files = sorted(require_shared("dicom/malformed").iterdir())
    server, nursery = psutil.Process(), psutil.Process(sandbox.pool.start().process.pid)
    submit_study(actor=technician, department=department, files=[files[0]])
    before = open_beside_children(server, nursery)

    send_all(technician, department, files)

    verdicts = Submission.objects.latest("created_at").files
    names = {verdict.name.rpartition("/")[2] for verdict in verdicts.all()}
    assert names == {path.name for path in files}
    # Some differ in their meta information alone: those are duplicates.
    stored = SubmissionFile.objects.filter(verdict=Verdict.STORED)
    assert stored.count() == Instance.objects.count() > 100
    assert not verdicts.filter(code__in=["unexpected", "decoding_crashed"]).exists()
    assert list(spool_directory().iterdir()) == []
    assert open_beside_children(server, nursery) == before
    assert len(nursery.children()) <= EXAMINED_AT_ONCE


@pytest.mark.parametrize(
    "description", sorted(SAMPLES.glob("*/study.json")), ids=lambda path: path.parent.name
)
def test_sample_is_stored_whole_and_can_be_classified(technician, department, description):
    files = sorted(description.parent.glob("*.dcm"))

    submission = submit_study(actor=technician, department=department, files=files)

    assert submission.state == SubmissionState.STORED
    assert Instance.objects.classifiable().count() == len(files)
    study = Study.objects.get()
    assert study.patient.mrn.startswith("SAMPLE-")
    assert study.state == "complete"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chrArab", "قباني^لنزار"),
        ("chrFren", "Buc^Jérôme"),
        ("chrGerm", "Äneas^Rüdiger"),
        ("chrGreek", "Διονυσιος"),
        ("chrH31", "Yamada^Tarou"),
        ("chrH32", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("chrHbrw", "שרון^דבורה"),
        ("chrI2", "Hong^Gildong"),
        ("chrRuss", "Люкceмбypг"),
        ("chrX1", "Wang^XiaoDong"),
        ("chrX2", "Wang^XiaoDong"),
    ],
)
def test_name_in_any_character_set_is_held_as_unicode(technician, department, name, expected):
    path = PYDICOM / "charset_files" / f"{name}.dcm"

    submit_study(actor=technician, department=department, files=[path])

    assert Patient.objects.get().name == expected


def test_samples_have_their_line_in_the_index():
    lines = (SAMPLES / "index.csv").read_text(encoding="utf-8").splitlines()[1:]
    listed = {line.partition("/")[0] for line in lines}
    assert listed == {path.parent.name for path in SAMPLES.glob("*/study.json")}
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*.dcm")) < 3_000_000


def test_one_image_in_many_encodings_is_held_once(technician, department):
    """The MR_small files are one image in many encodings, under one UID."""
    files = sorted((PYDICOM / "test_files").glob("MR_small*.dcm"))

    submission = submit_study(actor=technician, department=department, files=files)

    assert Instance.objects.count() == 1
    assert submission.files.filter(verdict="duplicate").count() == len(files) - 1
    assert AuditEvent.objects.filter(action=Action.FILE_STORED).count() == 1
