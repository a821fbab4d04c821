"""Liveness and readiness: what answers, and what each failure is called."""

import pytest
from django.test import Client

from tests.conftest import as_superuser


def test_live_answers_without_a_database_when_nobody_is_signed_in(client: Client) -> None:
    # No database mark: a query would fail this test.
    response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_names_every_part_when_all_work(client: Client, embedded_services: None) -> None:
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["checks"] == {"database": "ok", "migrations": "ok", "redis": "ok"}


@pytest.mark.django_db
def test_ready_says_503_and_redis_when_the_broker_is_gone(client: Client, settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock?db=0"

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["redis"] == "unreachable"
    assert response.json()["checks"]["database"] == "ok"


def test_ready_says_503_and_database_when_postgres_is_gone(
    client: Client, embedded_services: None, monkeypatch: pytest.MonkeyPatch, django_db_blocker
) -> None:
    from django.db import connection

    with django_db_blocker.unblock():
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"host": "/nowhere"})
        response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "unreachable"
    assert response.json()["checks"]["redis"] == "ok"


@pytest.mark.django_db
def test_ready_says_503_when_a_migration_is_missing(
    client: Client,
) -> None:
    latest = "(SELECT max(id) FROM django_migrations WHERE app = 'accounts')"
    with as_superuser() as cursor:
        cursor.execute(f"UPDATE django_migrations SET app = 'gone' WHERE id = {latest}")
    try:
        response = client.get("/readyz")
    finally:
        with as_superuser() as cursor:
            cursor.execute("UPDATE django_migrations SET app = 'accounts' WHERE app = 'gone'")

    assert response.status_code == 503
    assert response.json()["checks"]["migrations"].endswith("not applied")
