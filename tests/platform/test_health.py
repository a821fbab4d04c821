"""What is told of the product's parts: what each failure is called, and how long it takes."""

import threading
import time
from typing import Any

import pytest
from django.test import Client

from medimaging.health import PROBES, Part, State, parts
from tests.conftest import as_superuser


def found_in(response: Any) -> dict[str, dict[str, Any]]:
    """The parts of an answer, by their names."""
    return {part["name"]: part for part in response.json()["parts"]}


def test_live_answers_without_a_database_when_nobody_is_signed_in(client: Client) -> None:
    # No database mark: a query would fail this test.
    response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_names_every_part_when_all_work(client: Client, embedded_services: None) -> None:
    response = client.get("/readyz")

    assert response.status_code == 200
    states = {name: part["state"] for name, part in found_in(response).items()}
    assert states.items() >= {"database": "ok", "migrations": "ok", "redis": "ok"}.items()


@pytest.mark.django_db
def test_ready_is_degraded_and_serves_when_the_broker_is_gone(client: Client, settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock?db=0"

    response = client.get("/readyz")

    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert found_in(response)["redis"]["code"] == "redis_unavailable"
    assert found_in(response)["database"]["state"] == "ok"


def test_ready_says_503_and_database_when_postgres_is_gone(
    client: Client, embedded_services: None, monkeypatch: pytest.MonkeyPatch, django_db_blocker
) -> None:
    from django.db import connection

    with django_db_blocker.unblock():
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"host": "/nowhere"})
        response = client.get("/readyz")

    assert response.status_code == 503
    assert found_in(response)["database"]["code"] == "database_unavailable"
    assert found_in(response)["redis"]["state"] == "ok"


@pytest.mark.django_db
def test_ready_says_503_when_a_migration_is_missing(client: Client) -> None:
    latest = "(SELECT max(id) FROM django_migrations WHERE app = 'accounts')"
    with as_superuser() as cursor:
        cursor.execute(f"UPDATE django_migrations SET app = 'gone' WHERE id = {latest}")
    try:
        response = client.get("/readyz")
    finally:
        with as_superuser() as cursor:
            cursor.execute("UPDATE django_migrations SET app = 'accounts' WHERE app = 'gone'")

    assert response.status_code == 503
    assert found_in(response)["migrations"]["code"] == "migrations_pending"
    assert found_in(response)["migrations"]["facts"] == {"pending": 1}


def test_parts_leave_one_thread_behind_when_a_part_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    asked = []

    def hang() -> Part:
        asked.append(threading.current_thread())
        may_end.wait(30)
        return Part("hangs", State.OK, "ok", "It answered after all.")

    monkeypatch.setitem(PROBES, "hangs", hang)
    monkeypatch.setitem(PROBES, "swift", lambda: Part("swift", State.OK, "ok", "It is there."))
    begun = time.monotonic()

    for _ in range(3):
        hanging, swift = parts(deadline_s=0.1, names={"hangs", "swift"})
        assert (hanging.state, hanging.code) == (State.UNKNOWN, "no_answer")
        assert swift.state is State.OK

    assert time.monotonic() - begun < 1
    assert len(asked) == 1

    may_end.set()
    asked[0].join()
    assert parts(deadline_s=5, names={"hangs"})[0].state is State.OK


def test_parts_are_unknown_when_a_probe_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> Part:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setitem(PROBES, "breaks", breaks)

    (found,) = parts(names={"breaks"})

    assert (found.state, found.code) == (State.UNKNOWN, "probe_failed")
    assert "secret" not in found.message
