"""The accounts part of the API: tokens open it, and never wider than they say."""

import pytest
from django.utils import timezone

from accounts.audit import record_event
from accounts.choices import Action, ActorKind
from accounts.models import ApiToken, AuditEvent
from accounts.services import deactivate_user, issue_token, revoke_token
from tests import factories

ME = "/api/v1/me/"
EVENTS = "/api/v1/audit-events/"
TOKENS = "/api/v1/tokens/"


def with_token(value, scheme="Token"):
    return {"authorization": f"{scheme} {value}"}


@pytest.fixture
def issue():
    """Makes a token of somebody's own and returns it with its value."""

    def make(user, scopes=None):
        return issue_token(actor=user, user=user, name="test", days=1, scopes=scopes)

    return make


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer"])
def test_api_knows_the_owner_when_the_token_is_good(client, technician, issue, department, scheme):
    _, value = issue(technician)
    body = client.get(ME, headers=with_token(value, scheme)).json()
    assert body["username"] == "tina"
    assert set(body["verbs"]) == {str(verb) for verb in technician.verbs}
    assert [row["name"] for row in body["departments"]] == ["Radiology"]
    assert body["roles"][0]["role"] == "technician"


@pytest.mark.parametrize("case", ["unknown", "expired", "revoked", "deactivated", "empty", "two"])
def test_api_answers_401_when_the_token_is_bad(client, administrator, technician, issue, case):
    token, value = issue(technician)
    if case == "expired":
        ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    elif case == "revoked":
        revoke_token(actor=technician, token=token)
    elif case == "deactivated":
        deactivate_user(actor=administrator, user=technician)
    value = {"unknown": "mi_x", "empty": "", "two": f"{value} {value}"}.get(case, value)
    response = client.get(ME, headers=with_token(value))
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.json()["code"] == "not_authenticated"


def test_api_refuses_when_the_token_is_narrower_than_the_role(client, auditor, issue, recording):
    narrow, narrow_value = issue(auditor, ["token.own"])
    _, wide_value = issue(auditor)
    assert client.get(EVENTS, headers=with_token(wide_value)).status_code == 200
    with recording() as events:
        response = client.get(EVENTS, headers=with_token(narrow_value))
    assert response.status_code == 403
    (event,) = events
    assert (event.action, event.token_id) == (Action.ACCESS_REFUSED, narrow.pk)
    assert event.actor_kind == ActorKind.TOKEN
    assert event.details["verb"] == "audit.view"


def test_api_refuses_when_the_role_was_taken_from_the_owner(client, auditor, issue):
    _, value = issue(auditor)
    auditor.memberships.all().delete()
    assert client.get(EVENTS, headers=with_token(value)).status_code == 403


def test_department_list_holds_ones_own_when_there_are_others(client, technician, department):
    factories.make_department("Elsewhere")
    client.force_login(technician)
    body = client.get("/api/v1/departments/").json()
    assert body == [{"id": str(department.pk), "name": "Radiology", "slug": department.slug}]


def test_token_list_holds_ones_own_when_others_exist(client, administrator, technician, issue):
    token, _ = issue(technician)
    issue(administrator)
    client.force_login(technician)
    body = client.get(TOKENS).json()
    assert [row["id"] for row in body] == [str(token.pk)]
    assert "digest" not in body[0]
    assert "value" not in body[0]


def test_token_create_returns_a_working_value_when_posted(client, technician, recording):
    client.force_login(technician)
    with recording() as events:
        response = client.post(
            TOKENS, {"name": "pacs", "scopes": ["study.view"]}, content_type="application/json"
        )
    assert response.status_code == 201
    body = response.json()
    assert [event.action for event in events] == [Action.TOKEN_ISSUED]
    client.logout()
    seen = client.get(ME, headers=with_token(body["value"])).json()
    assert seen["verbs"] == ["study.view"]


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"name": "x", "scopes": ["audit.view"]}, 403, "verb_not_held"),
        ({"name": "x", "days": 1000, "scopes": ["study.view"]}, 400, "invalid"),
        ({"name": "x", "scopes": ["everything"]}, 400, "invalid"),
        ({}, 400, "invalid"),
    ],
)
def test_token_create_makes_nothing_when_asked_for_too_much(
    client, technician, recording, wanted, status, code
):
    client.force_login(technician)
    with recording() as events:
        response = client.post(TOKENS, wanted, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (status, code)
    refused = [Action.ACCESS_REFUSED] if status == 403 else []
    assert [event.action for event in events] == refused


def test_token_create_gives_no_more_when_asked_with_a_narrow_token(client, auditor, issue):
    _, value = issue(auditor, ["token.own"])
    headers = with_token(value)
    refused = client.post(
        TOKENS,
        {"name": "wider", "scopes": ["audit.view"]},
        content_type="application/json",
        headers=headers,
    )
    assert refused.json()["code"] == "verb_not_held"
    made = client.post(
        TOKENS,
        {"name": "x", "scopes": ["token.own"]},
        content_type="application/json",
        headers=headers,
    )
    assert made.json()["scopes"] == ["token.own"]


def test_token_destroy_revokes_when_it_is_ones_own(client, technician, auditor, issue):
    token, value = issue(technician)
    client.force_login(auditor)
    assert client.delete(f"{TOKENS}{token.pk}/").status_code == 404
    client.force_login(technician)
    assert client.delete(f"{TOKENS}{token.pk}/").status_code == 204
    client.logout()
    assert client.get(ME, headers=with_token(value)).status_code == 401


def test_audit_events_page_to_the_end_when_there_are_many(client, auditor, technician):
    client.force_login(auditor)
    for _ in range(5):
        record_event(action=Action.USER_UPDATED, actor=technician)
    address, seen = f"{EVENTS}?action=user.updated&page_size=2", []
    while address:
        body = client.get(address).json()
        assert len(body["results"]) <= 2
        seen += [row["event_id"] for row in body["results"]]
        address = body["next"]
    stored = AuditEvent.objects.filter(action=Action.USER_UPDATED).order_by("-id")
    assert seen == [str(event.event_id) for event in stored]


def test_audit_event_is_found_by_its_id_when_asked_for(client, auditor, technician, recording):
    client.force_login(auditor)
    event = record_event(action=Action.USER_UPDATED, actor=technician)
    with recording() as events:
        body = client.get(f"{EVENTS}{event.event_id}/").json()
    assert body["sentence"].startswith("Tina Technician edited")
    assert [event.action for event in events] == [Action.AUDIT_VIEWED]


@pytest.mark.parametrize("query", ["study=1", "actor=nobody", "action=x", "since=soon"])
def test_audit_events_answer_400_when_a_filter_is_wrong(client, auditor, query):
    client.force_login(auditor)
    response = client.get(f"{EVENTS}?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_audit_events_refuse_when_somebody_tries_to_write(client, administrator, method):
    client.force_login(administrator)
    assert getattr(client, method)(EVENTS).status_code in {403, 405}
