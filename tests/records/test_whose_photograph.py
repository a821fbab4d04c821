"""Whom a typed patient ID means: told before sending, contradicted as for DICOM, issuer or not."""

import datetime as dt

import pytest

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.services import set_default_issuer
from records.models import IdentityConflict, Patient, Study
from records.services import DeclaredFields
from records.services.lookup import who_is
from tests.dicom.files import make_dicom, make_jpeg, make_png
from tests.factories import make_department, make_patient, make_study, make_user

pytestmark = pytest.mark.django_db

HELD = {"PatientID": "S-2", "IssuerOfPatientID": "SAMPLES", "PatientName": "Berger^Jonas"}
BORN = {"PatientBirthDate": "19790802", "PatientSex": "M"}


@pytest.fixture
def held(send_one) -> Patient:
    """Jonas Berger, whose ID has an issuer."""
    send_one(make_dicom(**HELD, **BORN))
    return Patient.objects.get()


def typed(**fields: object) -> DeclaredFields:
    return DeclaredFields(patient_id="S-2", **fields)  # type: ignore[arg-type]  # tests' own


@pytest.mark.parametrize("make", [make_png, make_jpeg])
@pytest.mark.parametrize(
    ("said", "differing"),
    [
        ({"patient_name": "Doe, Jane", "sex": "F"}, ["name"]),
        ({"birth_date": dt.date(1980, 1, 1)}, ["birth date"]),
        ({"patient_name": "Doe^Jonas", "birth_date": dt.date(1979, 8, 2)}, ["name"]),
    ],
)
def test_photograph_that_contradicts_who_is_held_raises_the_conflict(
    send_one, held, make, said, differing
):
    for seed in (1, 2):
        file = send_one(make(seed=seed), declared=typed(**said))
        assert file.code == "identity_in_question"

    conflict = IdentityConflict.objects.get()
    assert (conflict.kind, conflict.held_patient) == ("patient", held)
    assert conflict.differing == differing
    apart = conflict.sent_patient
    assert (apart.mrn, apart.issuer) == ("S-2", "SAMPLES")
    assert Patient.objects.count() == 2
    assert Study.objects.filter(patient=apart).count() == 2


@pytest.mark.parametrize(
    "said", [{}, {"patient_name": "Berger, Jonas"}, {"patient_name": "BERGER^JONÁS"}]
)
def test_photograph_of_who_is_held_is_the_same_patient_s(send_one, held, said):
    assert send_one(make_png(), declared=typed(**said)).code == "stored"
    assert {study.patient for study in Study.objects.all()} == {held}
    assert not IdentityConflict.objects.exists()


def test_stated_issuer_is_taken_at_its_word(send_one, held):
    send_one(make_png(), declared=typed(issuer="OTHER", patient_name="Doe, Jane"))
    assert Patient.objects.filter(mrn="S-2").count() == 2
    assert not IdentityConflict.objects.exists()


def test_dicom_without_an_issuer_stays_the_hospital_s_own(send_one, held):
    send_one(make_dicom(PatientID="S-2", PatientName="Doe^Jane"))
    assert not IdentityConflict.objects.exists()


def test_default_issuer_comes_first_and_goes_to_new_records(send_one, held, department):
    make_study(
        department=department,
        patient=make_patient(mrn="S-2", issuer="OLD", name="Berger^Jonas", department=department),
    )
    set_default_issuer(actor=None, department=department, issuer="SAMPLES")

    send_one(make_png(), declared=typed(patient_name="Berger, Jonas"))
    send_one(make_png(seed=3), declared=DeclaredFields(patient_id="NEW-1"))
    send_one(make_dicom(PatientID="NEW-1", IssuerOfPatientID="SAMPLES", PatientName="A^B"))

    assert held.studies.count() == 2
    assert Patient.objects.get(mrn="NEW-1").studies.count() == 2


def test_record_split_earlier_stays_as_it_is(send_one, held, department):
    own = make_patient(mrn="S-2", name="Berger^Jonas", department=department)
    make_study(department=department, patient=own)
    send_one(make_png(), declared=typed(patient_name="Berger, Jonas"))
    assert own.studies.count() == 2
    assert not IdentityConflict.objects.exists()


def test_another_department_s_record_counts_for_nothing(send_one, held, stranger):
    elsewhere = stranger.departments.get()
    file = send_one(
        make_png(), actor=stranger, department=elsewhere, declared=typed(patient_name="Doe, Jane")
    )
    assert file.code == "stored"
    assert not IdentityConflict.objects.exclude(kind="elsewhere").exists()


def test_administrator_sets_the_issuer(client, department):
    client.force_login(make_user(Role.ADMINISTRATOR))
    url = f"/departments/{department.pk}/"
    assert client.post(url, {"name": "Radiology", "default_issuer": "H1"}).status_code == 302
    department.refresh_from_db()
    assert department.default_issuer == "H1"
    (event,) = AuditEvent.objects.filter(action__startswith="department.")
    assert event.sentence.endswith("set the issuer of patient IDs of Radiology to H1")


def test_who_is_known_is_told_to_who_sees_them_and_to_nobody_else(
    client, technician, stranger, held, department
):
    ask = {"patient_id": " S-2 ", "department": str(department.pk)}
    client.force_login(technician)
    shown = client.post("/submit/known/", ask).content.decode()
    for words in ("Berger, Jonas", "2 Aug 1979", "Male", "1 study", "Is this the patient?"):
        assert words in shown
    contradicted = client.post("/submit/known/", ask | {"patient_name": "Doe, Jane"})
    assert "with another name" in contradicted.content.decode()
    event = AuditEvent.objects.filter(action="patients.searched").latest("id")
    assert event.patient_id == held.pk
    assert event.searched
    assert "S-2" not in str(event.details)

    unknown = client.post("/submit/known/", ask | {"patient_id": "S-999"}).content.decode()
    client.force_login(stranger)
    own = {"department": str(stranger.departments.get().pk)}
    for more in ({}, own, {"department": str(department.pk)}):
        hidden = client.post("/submit/known/", {"patient_id": "S-2"} | more).content.decode()
        assert "Berger" not in hidden
        never = client.post("/submit/known/", {"patient_id": "S-999"} | more).content.decode()
        assert hidden == never
    assert "a new patient is made" in unknown


def test_who_is_of_a_department_leaves_the_other_s_patients_out(held, department):
    other = make_department()
    both = make_user(Role.TECHNICIAN, department=department)
    both.memberships.create(role=Role.TECHNICIAN, department=other)
    assert [known.patient for known in who_is(actor=both, declared=typed())] == [held]
    assert who_is(actor=both, declared=typed(), department_id=other.pk) == []
    assert who_is(actor=both, declared=typed(issuer="X"), department_id=department.pk) == []
