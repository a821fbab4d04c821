"""Finding studies and patients by numbers that no address may hold."""

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action
from tests.factories import make_department, make_patient, make_study, make_user

ROOT = "/api/v1"


@pytest.fixture
def api(department) -> APIClient:
    client = APIClient()
    client.force_login(make_user(Role.INTEGRATOR, department=department))
    return client


@pytest.fixture
def studies(department):
    """Two of one patient, one of another person of the same ID, one of another department's."""
    patient = make_patient(mrn="P-1", issuer="", department=department)
    namesake = make_patient(mrn="P-1", issuer="Clinic A", department=department)
    first, second, third = (
        make_study(department=department, patient=one) for one in (patient, patient, namesake)
    )
    for study, number in ((first, "A-1"), (second, "A-2"), (third, "A-1")):
        study.accession_number = number
        study.save(update_fields=["accession_number"])
    hidden = make_study(department=make_department(), patient=make_patient(mrn="P-1"))
    return first, second, third, hidden


def ask(api: APIClient, what: str, **body):
    return api.post(f"{ROOT}/{what}/search/", body, format="json")


def found(answer) -> set[str]:
    assert answer.status_code == 200, answer.content
    return {row["id"] for row in answer.json()["results"]}


@pytest.mark.django_db
def test_studies_are_found_by_their_numbers_as_a_whole(api, studies):
    first, second, third, _ = (str(study.pk) for study in studies)
    for body, expected in (
        ({"accession_number": "A-1"}, {first, third}),
        ({"accession_number": "A"}, set()),
        ({"accession_number": "a-1"}, set()),
        ({"patient_id": "P-1"}, {first, second, third}),
        ({"patient_id": "P-1", "issuer": ""}, {first, second}),
        ({"patient_id": "P-1", "issuer": "Clinic A"}, {third}),
        ({"patient_id": "P-1", "issuer": "", "accession_number": "A-2"}, {second}),
        ({"study_instance_uid": studies[0].study_instance_uid}, {first}),
        ({"study_instance_uid": studies[3].study_instance_uid}, set()),
    ):
        assert found(ask(api, "studies", **body)) == expected, body
    event = AuditEvent.objects.filter(action=Action.STUDIES_SEARCHED).order_by("-id")[0]
    assert event.searched
    assert studies[0].study_instance_uid not in str(event.details)


@pytest.mark.django_db
def test_patients_are_found_by_id_and_by_the_id_of_a_record_that_was_merged(api, studies):
    patient, namesake = studies[0].patient, studies[2].patient
    assert found(ask(api, "patients", patient_id="P-1")) == {str(patient.pk), str(namesake.pk)}
    assert found(ask(api, "patients", patient_id="P-1", issuer="")) == {str(patient.pk)}
    make_patient(mrn="OLD-1", department=patient.department, merged_into=patient)
    assert found(ask(api, "patients", patient_id="OLD-1")) == {str(patient.pk)}
    assert AuditEvent.objects.filter(action=Action.PATIENTS_SEARCHED).count() == 3


@pytest.mark.django_db
def test_the_rest_is_asked_for_in_the_body(api, studies):
    page = ask(api, "studies", patient_id="P-1", page_size=2).json()
    rest = ask(api, "studies", patient_id="P-1", page_size=2, cursor=page["next_cursor"]).json()
    assert [len(page["results"]), len(rest["results"])] == [2, 1]
    assert rest["next_cursor"] is None
    assert "P-1" not in page["next_cursor"]
    # A cursor serves the search that it was made by.
    other = ask(api, "studies", accession_number="A-1", cursor=page["next_cursor"])
    assert other.status_code == 400


@pytest.mark.django_db
def test_nobody_is_found_by_nothing(api, studies):
    for what, body, pointer in (
        ("studies", {}, "/"),
        ("studies", {"issuer": "Clinic A"}, "/"),
        ("studies", {"accession_number": ""}, "/accession_number"),
        ("studies", {"accession": "A-1"}, "/accession"),
        ("studies", {"accession_number": None}, "/accession_number"),
        ("studies", {"accession_number": ["A-1"]}, "/accession_number"),
        ("patients", {}, "/patient_id"),
        ("patients", {"patient_id": " "}, "/patient_id"),
        ("patients", {"patient_id": "P-1\0"}, "/patient_id"),
        ("patients", {"patient_id": "P-1", "page_size": 0}, "/page_size"),
        ("patients", {"patient_id": "P-1", "cursor": "x"}, "/cursor"),
    ):
        answer = ask(api, what, **body)
        assert answer.status_code == 400, (what, body)
        assert pointer in [one["pointer"] for one in answer.json()["errors"]], (what, body)
    for what in ("studies", "patients"):
        assert api.get(f"{ROOT}/{what}/search/").status_code in {404, 405}
        assert api.post(f"{ROOT}/{what}/search/?patient_id=P-1").status_code == 400
