"""What one department's images can read or change of another department's patients: nothing."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from accounts.models import AuditEvent, User
from accounts.roles import Role
from accounts.sealing import open_values
from records.models import IdentityConflict, Patient, Study
from records.services import submit_study
from tests.dicom.files import make_png
from tests.factories import make_study, make_user
from tests.security.doors import DOORS, ERIKA, dicom, everything_seen, last_verdict
from tests.security.links import signed_in

pytestmark = pytest.mark.django_db

SECRETS = ("Muster", "Erika", "19800229", "1980-02-29", "29 Feb 1980")
FIELDS = ("mrn", "issuer", "qualifier", "name", "birth_date", "sex", "merged_into", "updated_at")


@pytest.fixture
def ours(radiology) -> User:
    return make_user(Role.TECHNICIAN, department=radiology)


@pytest.fixture
def theirs(dermatology) -> User:
    return make_user(Role.TECHNICIAN, department=dermatology)


def send(user, department, content, door="rest"):
    DOORS[door](signed_in(user), user, department, content)
    return last_verdict(department)


@pytest.fixture
def erika(ours, radiology) -> Patient:
    return send(ours, radiology, dicom(**ERIKA)).study.patient


def state_of(department) -> list:
    """All that a department holds of patients, as it stands in the database."""
    studies = Study.objects.filter(department=department).order_by("pk")
    patients = Patient.objects.filter(studies__in=studies).order_by("pk").distinct()
    fields = ("pk", "patient", "named", "is_in_question", "state", "instance_count")
    return [list(studies.values_list(*fields)), list(patients.values_list("pk", *FIELDS))]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"PatientName": "Muster"},
        {"PatientName": "Muster^Erika"},
        {"PatientBirthDate": "19800229"},
        {"PatientName": "Hijacked^Name", "PatientBirthDate": "20000101", "PatientSex": "M"},
    ],
    ids=["id only", "family name", "name", "birth date", "another person"],
)
def test_an_id_reads_nothing_of_another_departments_patient(
    radiology, dermatology, theirs, erika, stated, door
):
    before = state_of(radiology)
    verdict = send(theirs, dermatology, dicom(**stated), door)

    assert verdict.verdict == "stored"
    seen = everything_seen(signed_in(theirs)) + verdict.message + verdict.action
    stated_words = " ".join(stated.values()).replace("19800229", "19800229 1980-02-29 29 Feb 1980")
    assert [word for word in SECRETS if word in seen and word not in stated_words] == []
    assert state_of(radiology) == before


def test_a_photograph_with_an_id_reads_nothing(radiology, dermatology, theirs, erika):
    before, client = state_of(radiology), signed_in(theirs)

    answer = client.post(
        "/api/v1/submissions/",
        {
            "files": [SimpleUploadedFile("a.png", make_png())],
            "patient_id": "P-1",
            "department": dermatology.slug,
        },
    )

    assert answer.json()["files"][0]["code"] == "stored"
    assert not [secret for secret in SECRETS if secret in everything_seen(client)]
    assert client.get(f"/api/v1/patients/{erika.pk}/").status_code == 404
    assert state_of(radiology) == before


@pytest.mark.parametrize("standing", ["held", "sent"])
@pytest.mark.parametrize("resolution", ["merge", "correct", "keep_apart"])
def test_no_decision_renames_another_departments_patient(
    radiology, dermatology, theirs, erika, resolution, standing
):
    send(theirs, dermatology, dicom())
    send(theirs, dermatology, dicom(PatientName="Hijacked^Name", PatientBirthDate="20000101"))
    send(theirs, dermatology, dicom(PatientName="Other^Name", PatientBirthDate="20010101"))
    before, client = state_of(radiology), signed_in(theirs)
    corrected = {"patient_id": "P-1", "name": "Muster^Erika", "birth_date": "1980-02-29"}

    for conflict in client.get("/api/v1/conflicts/").json()["results"]:
        client.post(
            f"/api/v1/conflicts/{conflict['id']}/resolve/",
            {
                "resolution": resolution,
                "reason": "attack",
                "name": standing,
                "birth_date": standing,
                "corrected": corrected,
            },
            content_type="application/json",
        )

    assert state_of(radiology) == before
    assert "F" not in [row["sex"] for row in client.get("/api/v1/patients/").json()["results"]]


def test_gaps_are_not_filled_from_another_department(radiology, dermatology, ours, theirs):
    held = send(ours, radiology, dicom(PatientName="Gap^Paul")).study.patient

    send(theirs, dermatology, dicom(**ERIKA | {"PatientName": "Gap^Paul"}))

    held.refresh_from_db()
    assert (held.birth_date, held.sex) == (None, "")


def test_a_study_sent_by_id_does_not_put_a_patient_in_sight(radiology, dermatology, theirs, erika):
    """An open conflict of the time when an ID joined records."""
    late = make_study(department=dermatology, patient=erika)
    sent = {"patient_id": "P-1", "issuer": "", "name": "A^B", "birth_date": "", "sex": ""}
    conflict = IdentityConflict.objects.create(
        kind="patient",
        department=dermatology,
        study=late,
        held_patient=erika,
        sent_patient=Patient.objects.create(mrn="P-1", qualifier="x", name="A^B"),
        sent=sent,
    )

    signed_in(theirs).post(
        f"/api/v1/conflicts/{conflict.pk}/resolve/",
        {"resolution": "merge", "reason": "attack", "name": "sent", "birth_date": "sent"},
        content_type="application/json",
    )

    assert Study.objects.get(department=radiology).patient.name == "Muster^Erika"


@pytest.fixture
def shared(erika, dermatology) -> Patient:
    """A record that two departments have had for long."""
    make_study(department=dermatology, patient=erika)
    return erika


def contradict_and_merge(user, department):
    verdict = send(user, department, dicom(PatientName="New^Name", PatientBirthDate="19900101"))
    conflict = IdentityConflict.objects.get(study=verdict.study)
    return signed_in(user).post(
        f"/api/v1/conflicts/{conflict.pk}/resolve/",
        {"resolution": "merge", "reason": "Married", "name": "sent", "birth_date": "sent"},
        content_type="application/json",
    )


def test_a_shared_record_changes_for_whom_a_person_of_each_department_agreed(
    radiology, dermatology, ours, theirs, shared
):
    assert contradict_and_merge(theirs, dermatology).status_code == 200

    names = {study.patient.name for study in Study.objects.filter(department=dermatology)}
    assert names == {"New^Name"}
    assert Study.objects.get(department=radiology).patient.name == "Muster^Erika"
    client = signed_in(ours)
    (told,) = client.get("/api/v1/conflicts/?state=open").json()["results"]
    assert told["kind"] == "elsewhere"
    assert "New, Name" in client.get(f"/conflicts/{told['id']}/").content.decode()

    client.post(
        reverse("records:conflict-resolve", args=[told["id"]]),
        {"resolution": "merge", "reason": "Asked", "name": "sent", "birth_date": "sent"},
    )

    assert Study.objects.get(department=radiology).patient.name == "New^Name"
    assert client.get("/api/v1/conflicts/?state=open").json()["results"] == []


def test_a_divided_record_is_whole_again_when_the_decision_is_taken_back(
    dermatology, theirs, shared
):
    own = Study.objects.filter(department=dermatology).get()
    contradict_and_merge(theirs, dermatology)
    own.refresh_from_db()
    assert own.patient != shared
    conflict = IdentityConflict.objects.get(department=dermatology)
    assert conflict.held_patient == own.patient

    signed_in(theirs).post(
        f"/api/v1/conflicts/{conflict.pk}/reverse/", content_type="application/json"
    )

    own.refresh_from_db()
    conflict.refresh_from_db()
    assert own.patient == conflict.held_patient == shared
    assert not Patient.objects.filter(name="New^Name", qualifier="").exists()


def test_either_department_can_go_on_deciding_after_a_record_was_divided(
    radiology, dermatology, ours, theirs, shared
):
    verdict = send(theirs, dermatology, dicom(PatientName="Late^Name"))
    waiting = IdentityConflict.objects.get(study=verdict.study)
    assert contradict_and_merge(ours, radiology).status_code == 200

    answer = signed_in(theirs).post(
        f"/api/v1/conflicts/{waiting.pk}/resolve/",
        {"resolution": "merge", "reason": "Married", "name": "sent"},
        content_type="application/json",
    )

    assert answer.status_code == 200
    names = {
        department: set(department.studies.values_list("patient__name", flat=True))
        for department in (radiology, dermatology)
    }
    assert names == {radiology: {"New^Name"}, dermatology: {"Late^Name"}}


def test_a_proposed_change_can_be_declined(radiology, dermatology, ours, theirs, shared):
    contradict_and_merge(theirs, dermatology)
    client = signed_in(ours)
    (told,) = client.get("/api/v1/conflicts/?state=open").json()["results"]

    answer = client.post(
        f"/api/v1/conflicts/{told['id']}/resolve/",
        {"resolution": "keep_apart", "reason": "Not ours"},
        content_type="application/json",
    )

    assert answer.status_code == 200
    assert Study.objects.get(department=radiology).patient.name == "Muster^Erika"


def test_gaps_of_a_shared_record_wait_for_people(radiology, dermatology, ours, theirs):
    held = send(ours, radiology, dicom(PatientName="Gap^Paul")).study.patient
    make_study(department=dermatology, patient=held)

    send(theirs, dermatology, dicom(**ERIKA | {"PatientName": "Gap^Paul"}))

    held.refresh_from_db()
    assert (held.birth_date, held.sex) == (None, "")


def test_the_department_that_holds_an_id_is_told_when_another_uses_it(
    dermatology, ours, theirs, erika
):
    send(theirs, dermatology, dicom(PatientName="Hijacked^Name"))
    send(theirs, dermatology, dicom(PatientName="Yet^Another"))

    client = signed_in(ours)
    (told,) = client.get("/api/v1/conflicts/?state=open").json()["results"]
    assert told["kind"] == "elsewhere"
    assert "Hijacked" not in everything_seen(client)
    rail = client.get("/studies/").content.decode()
    assert "open: </span>1</span>" in rail
    assert IdentityConflict.objects.filter(department=dermatology, kind="elsewhere").count() == 0


def test_the_same_person_in_both_departments_tells_nobody(dermatology, ours, theirs, erika):
    send(theirs, dermatology, dicom(**ERIKA))

    assert not IdentityConflict.objects.exists()


def test_who_belongs_to_both_departments_sees_both_ones_studies(
    radiology, dermatology, theirs, erika
):
    send(theirs, dermatology, dicom(**ERIKA))
    both = make_user(Role.REVIEWER, department=radiology)
    both.memberships.create(role=Role.REVIEWER, department=dermatology)
    study = Study.objects.get(department=radiology)
    prior = Study.objects.get(department=dermatology)

    page = signed_in(both).get(study.get_absolute_url()).content.decode()
    assert prior.get_absolute_url() in page
    page = signed_in(theirs).get(prior.get_absolute_url()).content.decode()
    assert study.get_absolute_url() not in page


def sealed_of(study, action) -> list:
    events = AuditEvent.objects.filter(study_id=study.pk, action=action)
    return [open_values(event.sealed) for event in events]


def test_a_correction_stands_in_the_trail_of_every_study_with_both_values(radiology, ours, erika):
    first = Study.objects.get()
    second = send(ours, radiology, dicom(**ERIKA)).study
    assert contradict_and_merge(ours, radiology).status_code == 200
    third = Study.objects.exclude(pk__in=[first.pk, second.pk]).get()

    for study in (first, second):
        (values,) = sealed_of(study, "patient.corrected")
        assert values["before"] | {"sex": ""} == {
            "patient ID": "P-1",
            "issuer": "",
            "name": "Muster^Erika",
            "birth date": "1980-02-29",
            "sex": "",
        }
        assert (values["after"]["name"], values["after"]["birth date"]) == (
            "New^Name",
            "1990-01-01",
        )
    assert len(sealed_of(third, "patient.merged")) == 1
    trail = str(list(AuditEvent.objects.values_list("details", "sealed")))
    told = ("Muster", "New^Name", "1990-01-01", "1980-02-29", "19900101", "19800229")
    assert not [word for word in told if word in trail]


def test_taking_a_decision_back_stands_in_the_trail_too(radiology, ours, erika):
    first = Study.objects.get()
    contradict_and_merge(ours, radiology)
    conflict = IdentityConflict.objects.get()

    signed_in(ours).post(
        f"/api/v1/conflicts/{conflict.pk}/reverse/", content_type="application/json"
    )

    (values,) = sealed_of(first, "patient.restored")
    assert (values["before"]["name"], values["after"]["name"]) == ("New^Name", "Muster^Erika")


def test_a_filled_gap_stands_in_the_trail_with_both_values(radiology, ours):
    first = send(ours, radiology, dicom(PatientName="Gap^Paul")).study

    second = send(ours, radiology, dicom(PatientName="Gap^Paul", PatientSex="M")).study

    assert second.patient_id == first.patient_id
    (values,) = sealed_of(first, "patient.completed")
    assert (values["before"]["sex"], values["after"]["sex"]) == ("", "M")
    assert AuditEvent.objects.get(action="patient.completed").details == {"changed": ["sex"]}


def test_sealed_values_open_with_no_other_key(ours, radiology, erika, settings):
    contradict_and_merge(ours, radiology)
    settings.AUDIT_SEAL_KEYS = ["another-key"]

    assert open_values(AuditEvent.objects.exclude(sealed="")[0].sealed) is None


def test_sealed_values_are_opened_by_command_and_the_look_is_recorded(
    ours, radiology, erika, capsys
):
    contradict_and_merge(ours, radiology)
    event = AuditEvent.objects.filter(action="patient.corrected")[0]

    call_command("open_event", str(event.event_id), reason="Complaint 7")

    assert "Muster^Erika" in capsys.readouterr().out
    look = AuditEvent.objects.get(action="audit.unsealed")
    assert look.target_id == str(event.pk)
    assert look.details == {"reason": "Complaint 7"}
    for wrong in ("not-an-id", str(look.event_id)):
        with pytest.raises(CommandError):
            call_command("open_event", wrong, reason="x")


@pytest.mark.django_db(transaction=True)
def test_two_departments_at_once_get_two_records(radiology, dermatology, ours, theirs):
    people = [(ours, radiology), (theirs, dermatology)] * 4

    def sent(who):
        user, department = who
        try:
            files = [("file", io.BytesIO(dicom(**ERIKA)))]
            submit_study(actor=user, department=department, files=files)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sent, people))

    assert Patient.objects.filter(mrn="P-1").count() == 2
    owners = set(Study.objects.values_list("patient", "department"))
    assert len(owners) == 2
