"""Every address by every method, as everybody without business there: nothing read or changed."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import DEPARTMENT_ROLES, Role
from tests import factories
from tests.access_rules import RULES
from tests.test_access_matrix import TARGETS, World, make_world

__all__ = ["make_world"]

METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
BODIES: tuple[tuple[str, Any], ...] = (
    ("application/json", "{}"),
    ("application/x-www-form-urlencoded", "reason=x&resolution=merge&decision=confirm&q=Test"),
)
# Signing oneself out would end the sweep; what the services say of themselves is nobody's.
LEFT_OUT = {
    "accounts:sign-out",
    "accounts:sign-in",
    "healthz",
    "readyz",
    "statusz",
    "api-schema",
    "api-docs",
}
# Rows that change by being used, whoever uses them.
USED = {"accounts_auditevent", "django_session"}
ABOUT_A_DEPARTMENT = sorted(
    {(name, target) for name, _, _, target in RULES if name not in LEFT_OUT}
)


def rows() -> dict[tuple[str, str], str]:
    """Every row of the database by table and key, as text."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table in USED or table.startswith("django_"):
                continue
            key = connection.introspection.get_primary_key_column(cursor, table) or "id"
            # When somebody was last here says nothing of what they then did.
            cursor.execute(
                f"SELECT {key}::text, (to_jsonb(t) - %s::text[])::text FROM {table} t",
                [["last_login", "last_used_at", "last_seen_at"]],
            )
            found |= {(table, pk): text for pk, text in cursor.fetchall()}
    return found


def identities(world: World) -> Iterator[tuple[str, User | None]]:
    """People of another department in every role that one has there, of none, and nobody."""
    elsewhere = factories.make_department()
    for role in sorted(DEPARTMENT_ROLES):
        yield f"{role} elsewhere", factories.make_user(role, department=elsewhere)
    yield "data scientist", factories.make_user(Role.DATA_SCIENTIST)
    yield "auditor", factories.make_user(Role.AUDITOR)
    yield "without a role", factories.make_user()
    yield "nobody", None


def answers(client: Client, world: World) -> Iterator[tuple[str, HttpResponse]]:
    for name, target in ABOUT_A_DEPARTMENT:
        address = reverse(name, kwargs=TARGETS[target](world) if target else {})
        for method in METHODS:
            for content_type, body in (
                BODIES if method not in ("get", "head", "options") else [("", "")]
            ):
                ask = getattr(client, method)
                options = {"data": body, "content_type": content_type} if content_type else {}
                yield f"{method} {name} {content_type}", ask(address, **options)


def content_of(response: HttpResponse) -> str:
    pieces = response.streaming_content if response.streaming else [response.content]
    return b"".join(pieces).decode("utf-8", "replace")


@pytest.mark.django_db
@pytest.mark.timeout(900)
@pytest.mark.slow
def test_nothing_of_a_department_is_read_or_changed_from_outside_of_it(make_world: Any) -> None:
    world = make_world(Role.TECHNICIAN)
    patient = world.study.patient
    # The trail names records by their ids to those who examine it, and never more.
    secrets = (patient.name, patient.mrn, world.deleted_study.patient.mrn)
    for who, user in identities(world):
        client = Client(raise_request_exception=False)
        if user is not None:
            client.force_login(user)
        before = rows()
        for asked, response in answers(client, world):
            content = content_of(response)
            assert response.status_code < 500, (who, asked, response.status_code, content[:300])
            told = [secret for secret in secrets if secret and secret in content]
            # An address that was asked for may be repeated in a form or in a refusal.
            told = [secret for secret in told if secret not in str(response.wsgi_request.path)]
            assert not told, (who, asked, told)
        after = rows()
        changed = {
            key: (text, after.get(key)) for key, text in before.items() if after.get(key) != text
        }
        assert not changed, (who, changed)
