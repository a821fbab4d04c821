"""A disc as people send it: its images come in, and what lies beside them is left out."""

import pytest

from accounts.models import AuditEvent
from records.choices import Action, SubmissionState
from records.models import Submission
from tests.dicom.files import make_dicom, make_png, make_zip

pytestmark = pytest.mark.django_db

DISC = {
    "DICOMDIR": bytes(200),
    "DICOM/ST1/SE1/IM1": make_dicom(),
    "AUTORUN.INF": b"[autorun]",
    "VIEWER/viewer.exe": b"MZ\0\0",
    "VIEWER/lib/tools.jar": make_zip({"a.class": b"\xca\xfe"}),
    "VIEWER/help/page one.html": b"<html>",
    "VIEWER/logo.png": make_png(),
    "VERSION": b"",
    "README.TXT": b"read",
    "__MACOSX/._DICOMDIR": b"\0\5\x16\7",
}


def verdicts(submission: Submission) -> dict[str, str]:
    return {file.name: file.verdict for file in submission.files.all()}


@pytest.mark.parametrize("folder", ["", "Patient CD/"])
def test_disc_in_an_archive_is_stored_whole(send, client, technician, folder):
    entries = {f"{folder}{path}": content for path, content in DISC.items()}

    submission = send(("cd.zip", make_zip(entries)))

    found = verdicts(submission)
    assert found.pop(f"cd.zip/{folder}DICOM/ST1/SE1/IM1") == "stored"
    assert set(found) == {f"cd.zip/{path}" for path in entries if not path.endswith("IM1")}
    assert set(found.values()) == {"left_out"}
    assert submission.state == SubmissionState.STORED
    event = AuditEvent.objects.get(action=Action.SUBMISSION_CLOSED)
    assert event.details["left_out"] == len(DISC) - 1
    client.force_login(technician)
    (row,) = client.get("/api/v1/submissions/").json()["results"]
    counts = (row["stored_count"], row["rejected_count"], row["left_out_count"])
    assert counts == (1, 0, len(DISC) - 1)
    assert "Left out" in client.get(submission.get_absolute_url()).content.decode()


def test_disc_in_a_folder_is_stored_whole(send):
    paths = [name for name in DISC if name != "VIEWER/logo.png"]
    submission = send(*((f"cd/{path}", DISC[path]) for path in paths if "MACOSX" not in path))
    assert sorted(set(verdicts(submission).values())) == ["left_out", "stored"]
    assert submission.state == SubmissionState.STORED


def test_what_should_have_been_an_image_is_still_refused(send):
    broken = {"DICOM/IM2": b"no image", "3.dcm": b"", "1.2.840.7": b"no image either"}
    submission = send(("cd.zip", make_zip(DISC | broken)), ("notes.txt", b"words"))

    refused = {name for name, verdict in verdicts(submission).items() if verdict == "rejected"}
    # A disc came with it, so that words beside it are the disc's.
    assert refused == {f"cd.zip/{path}" for path in broken}
    assert submission.state == SubmissionState.PARTLY_STORED


def test_words_without_a_disc_are_refused(send):
    archive = make_zip({"a.dcm": make_dicom(), "b.txt": b"words", "README": b"read me"})
    submission = send(("x.zip", archive), ("notes.txt", b"words"))
    assert verdicts(submission) == {
        "x.zip/a.dcm": "stored",
        "x.zip/b.txt": "rejected",
        "x.zip/README": "left_out",
        "notes.txt": "rejected",
    }


def test_disc_with_very_many_files_is_counted_apart(send, settings):
    settings.INTAKE_REFUSALS_TOLD = 2
    many = {f"VIEWER/help/{number}.html": b"<html>" for number in range(9)}
    broken = {f"DICOM/{number}": b"no image" for number in range(3)}

    whole = send(("cd.zip", make_zip(DISC | many)))
    partly = send(("cd.zip", make_zip({"DICOMDIR": b"\0" * 200} | broken | many)))

    assert whole.state == SubmissionState.STORED
    counted = Submission.objects.with_counts()
    assert counted.get(pk=whole.pk).rejected_count == 0
    assert counted.get(pk=whole.pk).left_out_count == len(DISC) - 1 + len(many)
    assert partly.state == SubmissionState.REJECTED
    assert counted.get(pk=partly.pk).rejected_count == len(broken)
    assert counted.get(pk=partly.pk).left_out_count == 1 + len(many)
