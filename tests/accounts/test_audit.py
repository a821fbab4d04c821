"""The trail itself: append-only, complete in its context, and readable."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.audit import bind_request_context, bind_token, record_access, record_event
from accounts.choices import Action, ActorKind
from accounts.models import AuditEvent
from accounts.trail_csv import csv_lines
from accounts.wording import describe_event
from classifier.choices import Action as ClassifierAction
from records.choices import Action as RecordsAction


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET actor_name = 'nobody'",
        "DELETE FROM accounts_auditevent",
        "TRUNCATE accounts_auditevent",
    ],
)
def test_audit_table_refuses_when_changed(administrator, statement):
    event = record_event(action=Action.AUDIT_VIEWED, actor=administrator)
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.get(pk=event.pk).actor_name == "Ada Admin"


def test_record_event_stamps_the_request_when_inside_one(administrator):
    token_id = uuid.uuid4()
    with bind_request_context(source_address="10.0.0.7", request_id="r" * 64):
        bind_token(token_id)
        event = record_event(action=Action.AUDIT_VIEWED, actor=administrator)
    outside = record_event(action=Action.AUDIT_VIEWED, actor=administrator)
    event.refresh_from_db()
    assert (event.source_address, event.request_id) == ("10.0.0.7", "r" * 64)
    assert (event.token_id, event.actor_kind) == (token_id, ActorKind.TOKEN)
    assert (outside.token_id, outside.actor_kind) == (None, ActorKind.USER)


@pytest.mark.parametrize(
    ("action", "kind", "name"),
    [
        (Action.SIGN_IN_FAILED, ActorKind.ANONYMOUS, "anonymous"),
        (ClassifierAction.CLASSIFICATION_REQUEUED, ActorKind.SYSTEM, "system"),
    ],
)
def test_record_event_tells_strangers_from_the_system_when_nobody_acted(db, action, kind, name):
    event = record_event(action=action, actor=None)
    assert (event.actor_kind, event.actor_name) == (kind, name)


def test_record_access_records_once_when_repeated_within_five_minutes(
    administrator, auditor, department, recording
):
    with recording() as events:
        for actor in (administrator, auditor, administrator):
            record_access(action=RecordsAction.STUDY_VIEWED, actor=actor, target=department)
        record_access(action=RecordsAction.IMAGE_VIEWED, actor=auditor, target=department)
        record_access(action=Action.AUDIT_VIEWED, actor=auditor, target_id="audit-trail")
        record_access(action=Action.AUDIT_VIEWED, actor=auditor, target_id="audit-trail")
    assert len(events) == 4


@pytest.mark.parametrize("details", [{}, {"actor": "Mallory", "username": "{0.__class__}"}])
def test_describe_event_stays_readable_when_details_are_odd(administrator, details):
    event = AuditEvent(action=Action.USER_DEACTIVATED, actor_name="Ada Admin", details=details)
    assert describe_event(event).startswith("Ada Admin deactivated ")


def test_csv_lines_disarm_cells_when_they_look_like_formulas():
    event = AuditEvent(
        action=Action.SIGN_IN_FAILED,
        actor_name="=HYPERLINK(1)",
        target_id="@cmd",
        target_type="+1",
        request_id="-1",
        details={"name": 'a "quoted", word'},
    )
    header, line = csv_lines([event])
    assert header.startswith("\ufeffoccurred_at,event_id,")
    for harmless in (",'=HYPERLINK(1),", ",'@cmd,", ",'+1,", ",'-1,"):
        assert harmless in line
    assert line.endswith('"{""name"": ""a \\""quoted\\"", word""}",\r\n')
