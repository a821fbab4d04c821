"""A study that is held for one person, and files for it that name another."""

from typing import Any

import pytest
from django.core.files.storage import storages
from pydicom.uid import generate_uid

from accounts.models import AuditEvent, User
from accounts.roles import Role
from records import errors
from records.choices import Action, Verdict
from records.models import IdentityConflict, Instance, Patient, QuarantinedFile, Study
from records.services import Standing, discard_quarantined, reverse_resolution, sent_of
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_study, make_user
from tests.records.conflicts import OTHER, SendOne, decide, picture

pytestmark = pytest.mark.django_db

NOBODY = {"PatientID": None}


@pytest.fixture
def reviewer(department: Any) -> User:
    return make_user(Role.REVIEWER, department=department)


@pytest.fixture
def study_uid() -> str:
    return generate_uid()


@pytest.fixture
def study_conflict(send_one: SendOne, study_uid: str) -> IdentityConflict:
    """A study of P-1 is held and complete; a file for P-2 came under its UID."""
    send_one(make_dicom(StudyInstanceUID=study_uid))
    send_one(make_dicom(StudyInstanceUID=study_uid, PatientID="P-2", **OTHER))
    return IdentityConflict.objects.get()


def test_file_for_another_patient_s_study_is_kept_out_of_it(send_one, study_conflict, study_uid):
    study = Study.objects.get()
    assert (study.patient.mrn, study.instance_count, study.is_in_question) == ("P-1", 1, True)
    assert (study_conflict.kind, study_conflict.differing) == (
        "study",
        ["patient ID", "name", "birth date"],
    )
    file = QuarantinedFile.objects.get()
    assert (file.state, file.reason, file.conflict) == ("held", "identity", study_conflict)
    assert file.verdict.code == "study_patient_mismatch"
    assert not Patient.objects.filter(mrn="P-2").exists()
    assert storages["images"].exists(file.file.name)

    content = file.file.open("rb").read()
    again = send_one(content)

    assert again.code == "study_patient_mismatch"
    assert QuarantinedFile.objects.count() == IdentityConflict.objects.count() == 1


def test_merge_files_what_waited_and_completes_the_study_anew(
    send_one, reviewer, study_conflict, study_uid
):
    decide(reviewer, study_conflict, "merge")

    study = Study.objects.get()
    assert (study.instance_count, study.state, study.is_in_question) == (2, "complete", False)
    assert Instance.objects.of_study(study).count() == 2
    file = QuarantinedFile.objects.get()
    assert (file.state, file.instance.sha256) == ("filed", file.sha256)
    late = make_dicom(StudyInstanceUID=study_uid, PatientID="P-2", **OTHER)
    assert send_one(late).code == "stored"


def test_correct_gives_the_study_and_what_waited_to_the_other_patient(reviewer, study_conflict):
    decide(reviewer, study_conflict, "correct", corrected=sent_of(study_conflict))

    study = Study.objects.get()
    assert (study.patient.mrn, study.patient.name) == ("P-2", "Beispiel^Max")
    assert study.instance_count == 2


@pytest.mark.parametrize("how", ["merge", "correct", "keep_apart"])
def test_reverse_takes_filed_files_out_of_sight_and_they_can_be_filed_again(
    send_one, reviewer, study_conflict, how
):
    before = picture()
    options = {"corrected": sent_of(study_conflict)} if how == "correct" else {}
    decide(reviewer, study_conflict, how, **options)

    reverse_resolution(actor=reviewer, conflict=study_conflict)

    assert picture() == before
    content = QuarantinedFile.objects.get().file.open("rb").read()
    assert send_one(content).code == "study_patient_mismatch"
    decide(reviewer, study_conflict, "merge")
    assert Study.objects.get().instance_count == Instance.objects.count() == 2


def test_kept_apart_files_stay_in_quarantine_and_can_be_discarded(reviewer, study_conflict):
    admin = make_user(Role.ADMINISTRATOR)
    file = QuarantinedFile.objects.get()
    with pytest.raises(errors.AwaitsDecision):
        discard_quarantined(actor=admin, file=file, reason="not ours")

    decide(reviewer, study_conflict, "keep_apart")
    discard_quarantined(actor=admin, file=file, reason="not ours")

    file.refresh_from_db()
    assert (file.state, file.file.name, file.ended_by) == ("discarded", "", admin)
    event = AuditEvent.objects.get(action=Action.QUARANTINE_DISCARDED)
    assert event.details["received_sha256"] == file.source_sha256
    with pytest.raises(errors.QuarantineEnded):
        discard_quarantined(actor=admin, file=file, reason="again")


def test_other_bytes_under_a_held_uid_go_to_quarantine_once(send_one):
    uids = {
        name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    }
    held = send_one(make_dicom(**uids))
    changed = make_dicom(StudyDescription="changed", **uids)

    for _ in range(2):
        assert send_one(changed).code == "uid_conflict"

    file = QuarantinedFile.objects.get()
    assert (file.reason, file.conflict, file.held_sha256) == ("uid_conflict", None, held.sha256)
    assert file.file.open("rb").read() == changed
    event = AuditEvent.objects.get(action=Action.FILE_QUARANTINED)
    assert event.details["held_sha256"] == held.sha256
    assert event.details["received_sha256"] == file.sha256
    assert not Study.objects.get().is_in_question


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("Clinic A", "Clinic A", True),
        ("Clinic A", "Clinic B", False),
        ("", "Clinic A", False),
        ("Clinic A", "", False),
        ("", "", True),
    ],
)
def test_id_belongs_to_its_issuer(send_one, first, second, is_one):
    one = send_one(make_dicom(IssuerOfPatientID=first))
    other = send_one(make_dicom(IssuerOfPatientID=second))

    assert (one.study.patient == other.study.patient) is is_one
    assert not IdentityConflict.objects.exists()


def test_missing_issuer_is_no_contradiction_within_one_study(send_one, study_uid):
    send_one(make_dicom(StudyInstanceUID=study_uid, IssuerOfPatientID="Clinic A"))

    without = send_one(make_dicom(StudyInstanceUID=study_uid))
    other = send_one(make_dicom(StudyInstanceUID=study_uid, IssuerOfPatientID="Clinic B"))

    assert (without.code, other.code) == ("stored", "study_patient_mismatch")


def test_withheld_images_belong_to_no_list(department):
    study = make_study(department=department, images=2)
    reviewer = make_user(Role.REVIEWER, department=department)
    Instance.objects.filter(instance_number=1).update(is_withheld=True)

    assert Instance.objects.visible_to(reviewer).count() == 1
    assert study.series.with_counts().get().image_count == 1
    assert study.series.get().instances.count() == 1
    assert make_department().studies.count() == 0


@pytest.mark.parametrize(
    ("first", "second", "differing"),
    [
        ({}, {**NOBODY, **OTHER}, ["name", "birth date"]),
        ({**NOBODY, **OTHER}, {}, ["name", "birth date"]),
        (NOBODY, {**NOBODY, "PatientName": "Beispiel^Max"}, ["name"]),
        (NOBODY, {**NOBODY, "PatientBirthDate": "19790228"}, ["birth date"]),
    ],
    ids=["the second gives no ID", "the first gives none", "neither, name", "neither, birth"],
)
def test_other_person_is_kept_out_of_a_study_without_an_id_too(
    send_one, study_uid, first, second, differing
):
    send_one(make_dicom(StudyInstanceUID=study_uid, **first))
    kept_out = send_one(make_dicom(StudyInstanceUID=study_uid, **second))

    assert kept_out.code == "study_patient_mismatch"
    assert IdentityConflict.objects.get().differing == differing
    study = Study.objects.get()
    assert (study.instance_count, study.is_in_question) == (1, True)
    assert study.patient.is_identified is ("PatientID" not in first)


@pytest.mark.parametrize("reverse", [False, True], ids=["named first", "named last"])
def test_files_that_leave_out_whose_they_are_join_their_study(send_one, study_uid, reverse):
    named = make_dicom(StudyInstanceUID=study_uid)
    silent = make_dicom(
        StudyInstanceUID=study_uid, PatientID=None, PatientName=None, PatientBirthDate=None
    )
    for content in (silent, named) if reverse else (named, silent):
        assert send_one(content).verdict == Verdict.STORED

    assert Study.objects.get().patient.mrn == Patient.objects.get().mrn == "P-1"


@pytest.fixture
def conflict_without_id(send_one: SendOne, study_uid: str) -> IdentityConflict:
    """A study of Max without an ID is held; a file for Erika, P-1, came under its UID."""
    send_one(make_dicom(StudyInstanceUID=study_uid, **NOBODY, **OTHER))
    send_one(make_dicom(StudyInstanceUID=study_uid))
    return IdentityConflict.objects.get()


@pytest.mark.parametrize(
    ("standing", "name"),
    [(Standing(), "Beispiel^Max"), (Standing(name="sent"), "Muster^Erika")],
    ids=["held", "sent"],
)
def test_merge_gives_a_study_without_an_id_the_one_that_was_sent(
    reviewer, conflict_without_id, standing, name
):
    decide(reviewer, conflict_without_id, "merge", standing=standing)

    study = Study.objects.get()
    assert (study.patient.mrn, study.patient.name, study.instance_count) == ("P-1", name, 2)


@pytest.mark.parametrize("how", ["merge", "keep_apart", "correct"])
def test_reverse_restores_a_study_without_an_id(reviewer, conflict_without_id, how):
    before = picture()
    options = {"corrected": sent_of(conflict_without_id)} if how == "correct" else {}
    decide(reviewer, conflict_without_id, how, **options)

    reverse_resolution(actor=reviewer, conflict=conflict_without_id)

    assert picture() == before


def test_study_is_identified_though_a_conflict_waits(send_one, conflict_without_id, study_uid):
    file = send_one(make_dicom(StudyInstanceUID=study_uid, PatientID="P-2", **OTHER))

    assert file.code == "stored"
    assert Study.objects.get().patient.mrn == "P-2"
    assert IdentityConflict.objects.get().is_open
