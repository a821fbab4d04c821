"""Who searched for this name, this number? By any door, whatever was found; and never for what."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.choices import Action
from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action as RecordsAction
from records.dicom.attributes import Level
from records.dimse.query import _answers
from tests.factories import make_department, make_node, make_patient, make_study, make_user

MRN, NAME = "SAMPLE-02", "Berger^Jonas"
POSTED = ("records:study-list", "records:patient-list", "classifier:worklist")


@pytest.fixture
def department(db):
    return make_department("Radiology")


@pytest.fixture
def study(department):
    patient = make_patient(mrn=MRN, name=NAME)
    return make_study(department=department, patient=patient, accession_number="A-77.1")


@pytest.fixture
def reader(client, department):
    client.force_login(make_user(Role.REVIEWER, department=department))
    return client


@pytest.fixture
def auditor(db):
    auditor = Client()
    auditor.force_login(make_user(Role.AUDITOR))
    return auditor


def found_by_page(auditor: Client, text: str) -> list[str]:
    answer = auditor.post(reverse("accounts:audit-list"), {"searched": text}, follow=True)
    events = [event for event in answer.context["events"] if event.action != Action.AUDIT_VIEWED]
    return [event.target_id for event in events]


@pytest.mark.parametrize("name", POSTED)
@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (MRN, MRN),
        (MRN.lower(), MRN),
        ("  berger  ", "Berger"),
        ("BÉRGER, Jonas", "Berger^Jonas"),
        ("Berger Jonas", "jonas"),
        ("1.2.840.1", "1.2.840.1"),
    ],
)
def test_what_was_typed_into_a_search_is_found_again(reader, auditor, name, typed, asked):
    reader.post(reverse(name), {"q": typed}, follow=True)
    assert len(found_by_page(auditor, asked)) == 1


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({"PatientName": "Berger*"}, "Berger"),
        ({"PatientName": "BERGER^JONAS", "offset": "0"}, "jonas berger"),
        ({"PatientID": "SAMPLE-02", "offset": "50"}, MRN),
        ({"00100020": "sample-02"}, MRN),
        ({"AccessionNumber": "A-77.1"}, "a-77.1"),
        ({"StudyInstanceUID": "1.2.3,1.2.4"}, "1.2.4"),
        ({"StudyInstanceUID": "1.2.3\\1.2.4"}, "1.2.3"),
        ({"fuzzymatching": "true", "PatientName": "Jonas"}, "JONAS"),
    ],
)
def test_what_a_viewer_searched_for_is_found_again(reader, auditor, study, query, asked):
    reader.get("/dicomweb/studies", query, HTTP_ACCEPT="*/*")
    assert found_by_page(auditor, asked) == ["dicomweb"]


def test_what_a_program_narrowed_a_list_by_is_found_again(reader, auditor, study):
    patient, uid = str(study.patient_id), study.study_instance_uid
    reader.get("/api/v1/studies/", {"patient": patient, "study_instance_uid": uid})
    assert found_by_page(auditor, patient) == found_by_page(auditor, uid) == ["api-study"]


def test_what_a_node_searched_for_is_found_again_with_the_count(auditor, study):
    node = make_node(department=study.department)
    _answers(node, Level.STUDY, {"PatientName": "Berg*", "PatientID": "SAMPLE-0?", "StudyDate": ""})

    event = AuditEvent.objects.get(action=RecordsAction.STUDIES_SEARCHED)
    assert event.details["count"] == 1
    assert (event.study_id, event.patient_id) == (study.pk, study.patient_id)
    assert found_by_page(auditor, "berg") == ["dicom-query"]
    assert found_by_page(auditor, "Berger") == []


def test_a_search_that_found_one_patient_names_the_patient(reader, study):
    reader.post(reverse("records:patient-list"), {"q": "ber"}, follow=True)
    event = AuditEvent.objects.get(action=RecordsAction.PATIENTS_SEARCHED)
    assert event.patient_id == study.patient_id


def test_what_was_searched_for_stands_nowhere_in_the_trail(reader, auditor, study):
    reader.post(reverse("records:study-list"), {"q": "Berger"}, follow=True)
    reader.get("/dicomweb/studies", {"PatientName": "Berger*"})
    auditor.post(reverse("accounts:audit-list"), {"searched": "Berger", "q": "Berger"}, follow=True)
    for event in AuditEvent.objects.all():
        words = str([getattr(event, each.name) for each in AuditEvent._meta.fields])
        assert "berger" not in words.lower()


def test_somebody_else_s_name_is_not_found(reader, auditor):
    reader.post(reverse("records:study-list"), {"q": "Berger"}, follow=True)
    for other in ("Bergen", "Ber", "Berger Anna", ""):
        assert "study-list" not in found_by_page(auditor, other) or other == ""


def test_asking_who_searched_is_told_and_so_found(auditor):
    found_by_page(auditor, "Berger")
    told = AuditEvent.objects.get(action=Action.AUDIT_VIEWED)
    assert told.details == {"filters": {"searched": "(text)"}, "count": 0}
    assert told.searched


def test_a_program_may_ask_as_the_page_does(reader, auditor, study):
    reader.post(reverse("records:study-list"), {"q": MRN}, follow=True)
    answer = auditor.get("/api/v1/audit-events/", {"searched": MRN}).json()
    assert [event["target_id"] for event in answer["results"]] == ["study-list"]


def test_another_key_makes_other_hashes(reader, settings, auditor):
    reader.post(reverse("records:study-list"), {"q": MRN}, follow=True)
    settings.DIGEST_KEY = "another"
    assert found_by_page(auditor, MRN) == []


def test_very_many_values_are_all_kept_within_reason(reader, auditor):
    values: Any = [f"1.2.{number}" for number in range(300)]
    reader.get("/dicomweb/studies", {"StudyInstanceUID": ",".join(values)}, HTTP_ACCEPT="*/*")
    assert found_by_page(auditor, values[-1]) == ["dicomweb"]
