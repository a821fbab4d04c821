"""Lists that answer what was asked, whole and in order, or say what they don't understand."""

import base64
import json
import urllib.parse
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action
from records.models import Patient, Study
from tests import factories

ROOT = "/api/v1"
MANY = 1302


@pytest.fixture
def department(db: None) -> Any:
    return factories.make_department("Radiology")


@pytest.fixture
def api(department: Any) -> APIClient:
    client = APIClient(raise_request_exception=False)
    roles = (Role.INTEGRATOR, Role.REVIEWER, Role.AUDITOR, Role.ADMINISTRATOR)
    client.force_login(factories.make_user(*roles, department=department))
    return client


def follow(api: APIClient, address: str | None) -> list[str]:
    seen: list[str] = []
    for _ in range(30):
        if address is None:
            return seen
        page = api.get(address).json()
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
    pytest.fail("The list has no end.")


@pytest.mark.parametrize(
    "query",
    [
        "studies/?accession_number=NONE",
        "studies/?patient=",
        "studies/?study_instance_uid=",
        "studies/?state=OPEN",
        "studies/?priority=stat",
        "studies/?modality=CT&modality=MR",
        "studies/?format=json",
        "patients/?patient_id=NONE",
        "patients/?page_size=1.0",
        "patients/?page_size=%2B5",
        "patients/?page_size=%C2%B2",
        "patients/?cursor=cD0lMDA%3D",
        "instances/?study=",
        "instances/?series=12",
        "instances/?%00=1",
        "classifications/?study=",
        "classifications/?status=awaitng",
        "classifications/?status=Confirmed",
        "classifications/?task=AAA",
        "classifications/?all=perhaps",
        "classifications/?all=",
        "model-versions/?task=chest-xray",
        "conflicts/?state=all",
        "exports/?state=ready",
        "holds/?standing=1",
        "tokens/?page_size=5",
        "me/?verbs=1",
        "departments/?q=x",
        "audit-events/?actions=patient.viewed",
        "audit-events/?action=patient",
        "audit-events/?study=x",
        "audit-events/?since=32.1.2026",
    ],
)
def test_a_list_never_answers_another_question(api: APIClient, department: Any, query: str) -> None:
    factories.make_study(department=department, images=0)
    answer = api.get(f"{ROOT}/{query}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    name = urllib.parse.unquote(query.partition("?")[2].partition("=")[0])
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]


def test_codes_are_found_in_either_case(api: APIClient, department: Any) -> None:
    factories.make_study(department=department, modality="CT", body_part="CHEST", images=0)
    for query in ("modality=ct", "modality=Ct", "modality=CT", "body_part=chest"):
        assert len(api.get(f"{ROOT}/studies/?{query}").json()["results"]) == 1, query


def test_a_list_ends_where_more_rows_than_a_thousand_share_the_first_key(
    api: APIClient, department: Any
) -> None:
    named = [f"Later^Patient {number}" for number in range(3)]
    names = [""] * MANY + named
    patients = [Patient(mrn=f"Q{number:05}", name=name) for number, name in enumerate(names)]
    Patient.objects.bulk_create(patients)
    first = factories.make_study(department=department, patient=patients[0], images=0)
    Study.objects.bulk_create(
        Study(
            study_instance_uid=f"1.2.3.{number}",
            patient=patient,
            department=department,
            received_at=first.received_at,
            completed_at=first.completed_at,
            state=first.state,
        )
        for number, patient in enumerate(patients[1:])
    )
    Study.objects.update(received_at=first.received_at)
    for place, rows in (("patients", Patient), ("studies", Study)):
        seen = follow(api, f"{ROOT}/{place}/?page_size=200")
        assert len(seen) == MANY + 3
        assert set(seen) == {str(pk) for pk in rows.objects.values_list("pk", flat=True)}
    assert follow(api, f"{ROOT}/patients/?page_size=200")[-3:] == [
        str(Patient.objects.get(name=name).pk) for name in named
    ]


def test_no_address_of_a_list_holds_a_name(api: APIClient, department: Any) -> None:
    for name in ("Berger^Jonas", "Muster^Eva"):
        patient = factories.make_patient(name=name)
        factories.make_study(department=department, patient=patient, images=0)
    address = api.get(f"{ROOT}/patients/?page_size=1").json()["next"]
    cursor = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["cursor"][0]
    padded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert b"Berger" not in padded
    assert "Berger" not in urllib.parse.unquote(address)
    altered = cursor[:-3] + ("AAA" if cursor[-3:] != "AAA" else "BBB")
    for wrong in (altered, cursor[1:], cursor[: len(cursor) // 2], "gAAAAABn"):
        assert api.get(f"{ROOT}/patients/", {"cursor": wrong}).status_code == 400
    assert api.get(f"{ROOT}/studies/", {"cursor": cursor}).status_code == 400
    assert api.get(f"{ROOT}/patients/", {"cursor": cursor, "page_size": 5}).status_code == 200


def test_a_cursor_serves_the_filters_that_it_was_made_for(api: APIClient, department: Any) -> None:
    for _ in range(2):
        factories.make_study(department=department, modality="CT", images=0)
    address = api.get(f"{ROOT}/studies/?modality=CT&page_size=1").json()["next"]
    assert len(api.get(address).json()["results"]) == 1
    assert api.get(address.replace("modality=CT", "modality=MR")).status_code == 400
    assert api.get(address.replace("modality=CT&", "")).status_code == 400


def test_the_trail_keeps_no_name_that_a_stranger_made_up(api: APIClient, department: Any) -> None:
    factories.make_study(department=department, images=0)
    for place in ("api/v1/studies/", "dicomweb/studies", "studies/"):
        api.get(f"/{place}?Berger%5EJonas=1")
    api.generic("BERGER", "/api/v1/studies/")
    APIClient().generic("BERGER", "/studies/")
    APIClient(enforce_csrf_checks=True).generic("BERGER", "/sign-in/")
    api.generic("BERGER", "/api/v1/tokens/", HTTP_AUTHORIZATION="Token mi_wrong")
    kept = json.dumps(list(AuditEvent.objects.values()), default=str)
    assert "berger" not in kept.lower()
    assert not AuditEvent.objects.filter(action=Action.STUDIES_SEARCHED).exists()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_missing_slash_loses_no_body(api: APIClient, method: str) -> None:
    answer = getattr(api, method)(f"{ROOT}/submissions", {}, format="json")
    assert (answer.status_code, answer["Location"]) == (308, f"{ROOT}/submissions/")
    page = api.generic(method.upper(), "/submissions")
    assert (page.status_code, page["Location"]) == (308, "/submissions/")
    unknown = getattr(api, method)(f"{ROOT}/no-such-place")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    surplus = getattr(api, method)("/dicomweb/studies/")
    assert (surplus.status_code, surplus["Content-Type"]) == (404, "application/problem+json")


def test_a_token_made_without_the_slash_is_made(api: APIClient) -> None:
    wanted = {"name": "pacs", "scopes": ["study.view"]}
    answer = api.post(f"{ROOT}/tokens", wanted, format="json", follow=True)
    assert answer.status_code == 201
    assert api.get(f"{ROOT}/studies").status_code == 301
