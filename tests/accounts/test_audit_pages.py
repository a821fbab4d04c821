"""The audit page and its export."""

import csv
import datetime as dt
import io
import uuid
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.audit import record_event
from accounts.choices import Action, Outcome
from accounts.models import AuditEvent
from records.choices import Action as RecordsAction
from tests import factories

LIST = "/audit/"
EXPORT = "/audit/export/"
STUDY, PATIENT = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def auditor_client(client, auditor):
    client.force_login(auditor)
    return client


@pytest.fixture
def trail(administrator, technician):
    """Four events of different kinds, by name."""
    old = timezone.now() - dt.timedelta(days=40)
    events = {
        "token": record_event(action=Action.TOKEN_ISSUED, actor=technician, target_id="=token"),
        "failed": record_event(
            action=Action.SIGN_IN_FAILED,
            actor=None,
            target_id="mallory",
            outcome=Outcome.MINOR_FAILURE,
        ),
        "study": factories.date_back(
            record_event(
                action=RecordsAction.STUDY_VIEWED,
                actor=technician,
                study=SimpleNamespace(id=STUDY, patient_id=PATIENT, department_id=None),
            ),
            old,
        ),
        "invited": record_event(action=Action.USER_INVITED, actor=administrator),
    }
    return {event.pk: name for name, event in events.items()}


def today(days=0):
    return (timezone.localdate() + dt.timedelta(days=days)).isoformat()


FILTERS = [
    ({"q": "tina"}, {"token", "study"}),
    ({"q": "MALLORY"}, {"failed"}),
    ({"actor": "TINA"}, {"token", "study"}),
    ({"action": "user.invited"}, {"invited"}),
    ({"outcome": "4"}, {"failed"}),
    ({"study": str(STUDY)}, {"study"}),
    ({"patient": str(PATIENT)}, {"study"}),
    ({"patient": str(STUDY)}, set()),
    ({"until": today(-39)}, {"study"}),
    ({"since": today()}, {"token", "failed", "invited"}),
    ({"since": today(-40), "until": today(-40)}, {"study"}),
    ({"since": today(), "actor": "tina"}, {"token"}),
    ({}, {"token", "failed", "study", "invited"}),
]


@pytest.mark.parametrize(("filters", "found"), FILTERS)
def test_audit_list_narrows_when_filtered(auditor_client, trail, filters, found):
    response = auditor_client.post(LIST, filters, follow=True)
    shown = {trail[event.pk] for event in response.context["events"] if event.pk in trail}
    assert shown == found


@pytest.mark.parametrize(
    "filters", [{"actor": "nobody"}, {"study": "1"}, {"since": "soon"}, {"action": "x"}]
)
def test_audit_list_shows_nothing_when_a_filter_is_wrong(auditor_client, trail, filters):
    response = auditor_client.post(LIST, filters, follow=True)
    assert response.context["events"] == []
    assert len(response.context["messages"]) == 1


def test_audit_list_tells_each_event_in_words_when_shown(auditor_client, trail):
    content = auditor_client.get(LIST).content.decode()
    assert "Somebody failed to sign in as mallory" in content
    assert "Tina Technician looked at a study" in content


def test_audit_list_loads_the_rest_when_events_arrive_meanwhile(auditor_client, administrator):
    for _ in range(70):
        record_event(action=Action.USER_UPDATED, actor=administrator)
    ours = {"action": "user.updated"}
    first = auditor_client.post(LIST, ours, follow=True)
    record_event(action=Action.USER_UPDATED, actor=administrator)
    rest = auditor_client.post(
        LIST, {**ours, "cursor": first.context["next_cursor"]}, headers={"HX-Request": "true"}
    )
    ids = [event.pk for part in (first, rest) for event in part.context["events"]]
    assert len(ids) == 70
    assert ids == sorted(ids, reverse=True)
    assert "<h1" not in rest.content.decode()


def test_audit_list_is_recorded_each_time_when_read_again(auditor_client, auditor, recording):
    with recording() as events:
        auditor_client.get(LIST)
        auditor_client.post(LIST, {"q": "someone's name", "action": "user.invited"}, follow=True)
    assert [(one.action, one.actor_id) for one in events] == 2 * [(Action.AUDIT_VIEWED, auditor.pk)]
    assert events[1].details == {
        "filters": {"q": "(text)", "action": "user.invited"},
        "count": 0,
    }


def test_audit_list_asks_the_database_as_often_when_there_are_more_events(
    auditor_client, administrator, django_assert_num_queries
):
    auditor_client.get(LIST)
    with CaptureQueriesContext(connection) as before:
        auditor_client.get(LIST)
    for _ in range(40):
        record_event(action=Action.USER_UPDATED, actor=administrator)
    with django_assert_num_queries(len(before)):
        auditor_client.get(LIST)


@pytest.mark.parametrize(("filters", "found"), FILTERS)
def test_audit_export_holds_the_same_rows_when_filtered(auditor_client, trail, filters, found):
    response = auditor_client.post(EXPORT, filters)
    assert response.streaming
    assert 'attachment; filename="audit-trail-' in response["Content-Disposition"]
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    known = {
        str(event.event_id): trail[event.pk] for event in AuditEvent.objects.filter(pk__in=trail)
    }
    assert {known[row["event_id"]] for row in rows if row["event_id"] in known} == found


def test_audit_export_disarms_formulas_when_a_cell_looks_like_one(auditor_client, trail):
    response = auditor_client.post(EXPORT, {"action": "token.issued"})
    assert b",'=token," in b"".join(response.streaming_content)


def test_audit_export_records_the_filters_but_no_free_text_when_made(
    auditor_client, trail, recording
):
    with recording() as events:
        sent = b"".join(auditor_client.post(EXPORT, {"q": "Doe^Jane", "outcome": "4"}))
    begun, event = events
    assert begun.action == Action.TRANSFER_BEGUN
    assert event.action == Action.AUDIT_EXPORTED
    assert begun.details["filters"] == event.details["filters"] == {"q": "(text)", "outcome": "4"}
    assert event.details["bytes"] == len(sent)


def test_audit_export_exports_nothing_when_a_filter_is_wrong(auditor_client, trail, recording):
    with recording() as events:
        response = auditor_client.post(EXPORT, {"study": "1"})
    assert response.url == reverse("accounts:audit-list")
    assert events == []


def test_audit_list_is_refused_when_the_role_does_not_allow_it(client, trail):
    client.force_login(factories.make_user("data_scientist"))
    assert client.get(LIST).status_code == 403
    assert client.post(EXPORT).status_code == 403
