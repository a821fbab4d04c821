"""Every reason in errors.py for refusing one file: its code, and the rest of the batch stored."""

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from accounts.models import AuditEvent, User
from accounts.roles import Role
from records import errors
from records.choices import Action, Origin, SubmissionState
from records.errors import LEFT_OUT_CODES, DiskFull
from records.files import spool
from records.models import Instance, Patient, Study, Submission, SubmissionFile
from records.services import (
    DeclaredFields,
    choose_department,
    close_submission,
    open_submission,
    receive_file,
)
from tests.dicom.files import (
    make_deflated_bomb,
    make_dicom,
    make_huge_png_header,
    make_png,
    make_zip,
)
from tests.factories import make_department, make_user

pytestmark = pytest.mark.django_db

WHO = DeclaredFields(patient_id="P-9")
WHOLE = make_dicom()


def dicomdir() -> bytes:
    return Path(get_testdata_file("DICOMDIR")).read_bytes()


BAD_FILES: dict[str, list[Callable[[], bytes]]] = {
    "empty_file": [lambda: b""],
    "unknown_format": [lambda: b"%PDF-1.7 a report", lambda: b"GIF89a", lambda: b"x"],
    "image_too_large": [
        lambda: make_dicom(Rows=65535, Columns=65535),
        lambda: make_dicom(NumberOfFrames=9_999_999),
        make_huge_png_header,
    ],
    "image_unreadable": [lambda: make_png()[:300]],
    "dicom_truncated": [
        lambda: WHOLE[:-100],
        lambda: WHOLE[: len(WHOLE) // 2],
        lambda: make_dicom(NumberOfFrames=2),
        lambda: make_dicom(PixelData=None)[:-1],
    ],
    "dicom_unreadable": [
        lambda: WHOLE[:140],
        lambda: b"\x08\x00\x05\x00CS nothing that follows is DICOM",
        lambda: make_dicom(Rows=None),
        lambda: make_dicom(BitsAllocated=0),
        lambda: make_dicom(BitsAllocated=65),
        lambda: make_dicom(PatientID="X" * 65),
        lambda: make_dicom(StudyInstanceUID="../../etc/passwd"),
        lambda: make_dicom(SeriesInstanceUID="1." * 40),
    ],
    "missing_uid": [
        lambda: make_dicom(StudyInstanceUID=None),
        lambda: make_dicom(SeriesInstanceUID=""),
    ],
    "dicomdir": [dicomdir],
    "zip_corrupt": [
        lambda: make_zip({"a": WHOLE})[:-30],
        lambda: make_zip({"a": WHOLE}, method=0).replace(b"Muster", b"Master"),
        lambda: make_zip({}),
    ],
    "zip_bomb": [
        lambda: make_zip({"a.zip": make_zip({"b.zip": make_zip({"c.zip": make_zip({"d": b""})})})})
    ],
}
CASES = [
    pytest.param(code, make, id=f"{code}-{number}")
    for code, makers in BAD_FILES.items()
    for number, make in enumerate(makers, start=1)
]


@pytest.mark.parametrize(("code", "make"), CASES)
def test_bad_file_is_refused_by_its_code_and_the_good_one_stored(send, code, make):
    submission = send(("bad", make()), ("good", make_dicom()), declared=WHO)

    bad, good = submission.files.all()
    is_left_out = code in LEFT_OUT_CODES
    assert (bad.verdict, bad.code) == ("left_out" if is_left_out else "rejected", code)
    assert good.verdict == "stored"
    assert submission.state == ("stored" if is_left_out else "partly_stored")
    assert bad.message
    assert bad.action
    event = AuditEvent.objects.get(action=Action.FILE_REJECTED)
    assert event.details["code"] == code


def test_batch_of_bad_files_alone_is_rejected(send):
    assert send(("bad", b"x")).state == SubmissionState.REJECTED


def test_batch_without_files_is_rejected(send):
    assert send().state == SubmissionState.REJECTED


def test_file_too_large_is_refused_while_it_arrives(send, settings):
    settings.INTAKE_MAX_FILE_BYTES = 4000
    stream = CountingStream(total=10**9)
    submission = send(("good", make_dicom()))

    big = _receive(submission, stream)

    assert big.code == "file_too_large"
    assert stream.given <= 2 * spool.CHUNK_BYTES


def test_deflated_bomb_is_refused_before_it_is_unpacked(send_one, settings):
    bomb = make_deflated_bomb(2000)
    settings.INTAKE_MAX_FILE_BYTES = 1_000_000
    assert len(bomb) < 100_000

    assert send_one(bomb).code == "file_too_large"


def test_other_bytes_under_a_held_uid_are_refused_and_both_hashes_audited(send_one):
    uids = {
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
    }
    original = send_one(make_dicom(**uids))

    changed = send_one(make_dicom(StudyDescription="changed", **uids))

    assert (changed.verdict, changed.code) == ("rejected", "uid_conflict")
    instance = Instance.objects.get()
    assert instance.sha256 == original.sha256
    event = AuditEvent.objects.get(action=Action.FILE_REJECTED)
    assert event.details["held_sha256"] == original.sha256
    assert event.details["received_sha256"] == changed.sha256
    assert event.study_id == original.study_id


def test_study_under_another_patient_is_refused(send_one):
    uid = generate_uid()
    send_one(make_dicom(StudyInstanceUID=uid))

    verdict = send_one(make_dicom(StudyInstanceUID=uid, PatientID="P-2"))

    assert verdict.code == "study_patient_mismatch"
    assert Study.objects.get().patient.mrn == "P-1"
    assert not Patient.objects.filter(mrn="P-2").exists()


def test_series_under_another_study_is_refused(send_one):
    uid = generate_uid()
    send_one(make_dicom(SeriesInstanceUID=uid))

    assert send_one(make_dicom(SeriesInstanceUID=uid)).code == "series_study_mismatch"
    assert Study.objects.count() == 1


@pytest.mark.parametrize(
    "name", ["MUSTER^ERIKA", "Müster^Érika", "Muster^Erika^Maria", "Muster", ""]
)
def test_same_person_written_differently_is_no_conflict(send_one, name):
    send_one(make_dicom())

    assert send_one(make_dicom(PatientName=name)).verdict == "stored"
    assert Patient.objects.get().name == "Muster^Erika"


def test_photograph_without_patient_is_refused(send_one):
    assert send_one(make_png()).code == "patient_required"


@pytest.fixture
def of_both(stranger, department) -> User:
    """Somebody who sees what another department holds."""
    stranger.memberships.create(role=Role.TECHNICIAN, department=department)
    return User.objects.get(pk=stranger.pk)


def test_study_that_the_sender_sees_elsewhere_is_refused_saying_where(
    send_one, of_both, department
):
    content = make_dicom()
    send_one(content)
    elsewhere = of_both.departments.exclude(pk=department.pk).get()

    verdict = send_one(content, actor=of_both, department=elsewhere)

    assert verdict.code == "held_by_other_department"
    assert "Radiology" in verdict.message
    assert verdict.held_in == department
    assert (verdict.study, verdict.instance) == (None, None)


def test_late_image_of_a_study_that_the_sender_sees_elsewhere_is_refused(
    send_one, of_both, department
):
    uid = generate_uid()
    send_one(make_dicom(StudyInstanceUID=uid))
    elsewhere = of_both.departments.exclude(pk=department.pk).get()

    verdict = send_one(make_dicom(StudyInstanceUID=uid), actor=of_both, department=elsewhere)

    assert verdict.code == "held_by_other_department"


def test_more_files_than_a_batch_may_have_are_refused(send, settings):
    settings.INTAKE_MAX_FILES = 2

    with pytest.raises(errors.TooManyInOneRequest):
        send(*[(str(number), make_dicom()) for number in range(9)])

    submission = Submission.objects.get()
    codes = list(submission.files.values_list("code", flat=True))
    assert codes == ["stored", "stored", "too_many_files"]
    assert submission.state == SubmissionState.PARTLY_STORED


@pytest.mark.parametrize("is_full_for", [stat.S_ISREG, stat.S_ISDIR], ids=["file", "directory"])
def test_full_disk_is_told_and_leaves_no_row(send_one, monkeypatch, is_full_for):
    def fail(handle):
        if is_full_for(os.fstat(handle).st_mode):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(DiskFull):
        send_one(make_dicom())
    assert not SubmissionFile.objects.exists()
    assert not Instance.objects.exists()
    assert not Study.objects.exists()


def test_closed_submission_takes_no_more_files(send, technician):
    submission = send(("a", make_dicom()))

    with pytest.raises(errors.SubmissionEnded):
        receive_file(
            actor=technician, submission=submission, name="b", stream=io.BytesIO(make_dicom())
        )
    stale = Submission.objects.get(pk=submission.pk)
    stale.state = SubmissionState.RECEIVING
    with pytest.raises(errors.SubmissionEnded):
        receive_file(actor=technician, submission=stale, name="b", stream=io.BytesIO(make_dicom()))


def test_department_must_be_one_of_ones_own(technician, stranger):
    with pytest.raises(errors.DepartmentUnknown):
        open_submission(actor=technician, department=stranger.departments.get(), origin=Origin.API)
    with pytest.raises(errors.DepartmentUnknown):
        choose_department(actor=technician, given=stranger.departments.get().slug)
    with pytest.raises(errors.DepartmentUnknown):
        choose_department(actor=technician, given="no-such")


def test_department_is_required(technician):
    nobody = make_user(Role.AUDITOR)
    with pytest.raises(errors.DepartmentRequired):
        open_submission(actor=technician, department=None, origin=Origin.API)
    with pytest.raises(errors.DepartmentRequired):
        choose_department(actor=nobody)


def test_department_is_found_by_slug_name_and_id(technician, department):
    for given in (department.slug, department.name.upper(), str(department.pk), ""):
        assert choose_department(actor=technician, given=given).department == department


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient_id", "a\\b"),
        ("patient_id", "x" * 65),
        ("patient_name", "A^B^C^D^E^F"),
        ("patient_name", "A=B"),
        ("sex", "Q"),
        ("modality", "not a code!"),
        ("accession_number", "x" * 17),
    ],
)
def test_declared_value_that_dicom_cannot_hold_is_refused_by_name(send, field, value):
    with pytest.raises(errors.InvalidField) as caught:
        send(declared=DeclaredFields(**{field: value}))

    assert caught.value.context["field"] == field
    assert not Submission.objects.exists()


def test_member_who_left_the_department_can_neither_send_nor_close(send, technician, department):
    submission = open_submission(actor=technician, department=department, origin=Origin.WEB)
    elsewhere = make_user(Role.TECHNICIAN, department=make_department())

    with pytest.raises(errors.DepartmentUnknown):
        receive_file(actor=elsewhere, submission=submission, name="a", stream=io.BytesIO(b"x"))
    with pytest.raises(errors.DepartmentUnknown):
        close_submission(actor=elsewhere, submission=submission)


def test_every_refusal_of_a_file_has_its_own_code_and_words():
    kinds = errors.FileRejected.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.message and kind.action for kind in kinds)
    longest = SubmissionFile._meta.get_field("code").max_length
    assert all(len(kind.code) <= longest for kind in kinds)


class CountingStream:
    """A sender that never ends, and counts what was taken from it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return bytes(size) if self.given <= self.total else b""


def _receive(closed: Submission, stream: CountingStream) -> SubmissionFile:
    submission = open_submission(
        actor=closed.created_by, department=closed.department, origin=Origin.API
    )
    assert settings.INTAKE_MAX_FILE_BYTES == 4000
    (verdict,) = receive_file(
        actor=closed.created_by, submission=submission, name="big", stream=stream
    )
    return verdict
