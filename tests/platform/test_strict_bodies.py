"""Bodies over REST: what the API doesn't know, or can't be, is refused with a pointer to it."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework import serializers
from rest_framework.test import APIClient

from accounts.api.strict import StrictSerializer
from accounts.models import ApiToken
from accounts.roles import Role
from records.models import Submission
from tests import factories

TOKENS = "/api/v1/tokens/"
GOOD = {"name": "pacs", "days": 7, "scopes": ["study.view"]}
# What is sent, and where the refusal points.
WRONG: list[tuple[Any, set[str]]] = [
    (GOOD | {"scope": ["study.view"]}, {"/scope"}),
    (GOOD | {"scope": 1, "Days": 3}, {"/scope", "/Days"}),
    (GOOD | {"name": ""}, {"/name"}),
    (GOOD | {"name": "  "}, {"/name"}),
    (GOOD | {"name": "a\0b"}, {"/name"}),
    (GOOD | {"name": "x" * 81}, {"/name"}),
    (GOOD | {"name": 5}, {"/name"}),
    (GOOD | {"name": ["pacs"]}, {"/name"}),
    (GOOD | {"name": None}, {"/name"}),
    (GOOD | {"days": "7"}, {"/days"}),
    (GOOD | {"days": True}, {"/days"}),
    (GOOD | {"days": 7.0}, {"/days"}),
    (GOOD | {"scopes": "study.view"}, {"/scopes"}),
    (GOOD | {"scopes": {"0": "study.view"}}, {"/scopes"}),
    (GOOD | {"scopes": [["study.view"]]}, {"/scopes/0"}),
    (GOOD | {"scopes": ["study.view", "study.veiw"]}, {"/scopes/1"}),
    ([GOOD], {"/"}),
    ("pacs", {"/"}),
]
# Bodies that JSON can't hold, or that no parser may stumble over.
BROKEN = [
    b'{"name": "pacs", "days": 7, "days": 300, "scopes": ["study.view"]}',
    b'{"name": "\\ud800", "days": 7, "scopes": ["study.view"]}',
    b'{"name": "pacs", "days": 7, "scopes": ["\\udfff"]}',
    b'{"\\ud800": 1, "name": "pacs", "days": 7, "scopes": ["study.view"]}',
    b'{"a/b~c\\u0000": 1, "name": "pacs", "days": 7, "scopes": ["study.view"]}',
    b'{"name": "\xff", "days": 7, "scopes": ["study.view"]}',
    b'{"name": "pacs", "days": NaN, "scopes": ["study.view"]}',
    b'{"name": "pacs", "days": 1e999, "scopes": ["study.view"]}',
    b'{"name": "pacs", "days": ' + b"9" * 5000 + b', "scopes": ["study.view"]}',
    b'{"name": ' + b"[" * 60_000,
    b'{"name": ' + b'{"a":' * 60_000,
    b"\xef\xbb\xbf{}",
    b"{",
]


@pytest.fixture
def api(db: None) -> APIClient:
    """An integrator's client."""
    client = APIClient(raise_request_exception=False)
    client.force_login(factories.make_user(Role.INTEGRATOR, Role.REVIEWER))
    return client


def test_a_body_is_refused_whole_where_one_field_is_wrong(api: APIClient) -> None:
    for body, pointers in WRONG:
        answer = api.post(TOKENS, json.dumps(body), content_type="application/json")
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "invalid"), body
        assert {error["pointer"] for error in problem["errors"]} == pointers, body
    for raw in BROKEN:
        answer = api.post(TOKENS, raw, content_type="application/json")
        assert answer.status_code == 400, raw[:80]
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] in {"invalid", "parse_error"}
    assert not ApiToken.objects.exists()
    assert api.post(TOKENS, GOOD, format="json").status_code == 201


def test_a_form_says_each_thing_once_and_leaves_nothing_empty(api: APIClient) -> None:
    for wrong in (
        {"patient_id": ""},
        {"patiend_id": "P1"},
        {"patient_id": ["P1", "P2"]},
        {"sex": "X"},
        {"keep_open": "perhaps"},
        {"patient_name": "A\0B"},
    ):
        (name,) = wrong
        file = SimpleUploadedFile("a.png", b"image")
        answer = api.post("/api/v1/submissions/", {"files": file, **wrong}, format="multipart")
        assert answer.status_code == 400, wrong
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"], wrong
    assert not Submission.objects.exists()


def test_a_request_that_needs_no_body_takes_none(api: APIClient) -> None:
    made = api.post(TOKENS, GOOD, format="json").json()
    address = f"{TOKENS}{made['id']}/"
    assert api.delete(address, {"reason": "lost"}, format="json").status_code == 400
    assert ApiToken.objects.usable().exists()
    assert api.delete(address).status_code == 204


class Box(StrictSerializer):
    width = serializers.FloatField()


class Parcel(StrictSerializer):
    boxes = serializers.ListField(child=Box())
    sender = Box(required=False)


def test_unknown_fields_are_found_inside_lists_and_objects() -> None:
    given = Parcel(
        data={"boxes": [{"width": 1}, {"width": 10**400}], "sender": {"width": 1, "widht": 2}}
    )
    assert not given.is_valid()
    assert set(given.errors["boxes"]) == {1}
    assert set(given.errors["sender"]) == {"widht"}
