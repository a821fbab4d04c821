"""What is told of the product's parts: what each failure is called, and how long it takes."""

import datetime as dt
import threading
import time
import uuid
from typing import Any

import psycopg2
import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import processes
from accounts.access import HasVerb, VerbRequiredMixin
from accounts.roles import Role
from classifier.models import Classification
from medimaging import heartbeats
from medimaging.health import PROBES, Part, State, parts, work
from medimaging.heartbeats import beat
from medimaging.release import VERSION
from records.models import Export
from tests.factories import make_department, make_study, make_user
from tests.installation import as_superuser


@pytest.fixture
def admin_in(db: None) -> Client:
    """An administrator's browser."""
    client = Client()
    client.force_login(make_user(Role.ADMINISTRATOR))
    return client


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


def statusz(client: Client) -> dict[str, dict[str, Any]]:
    response = client.get("/statusz")
    assert response.status_code == 200
    return found_in(response)


@pytest.mark.django_db
def test_status_is_told_to_whoever_reaches_the_port_and_opens_no_session(
    client: Client, admin_in: Client, embedded_services: None
) -> None:
    with_session = admin_in.get("/statusz")

    assert set(found_in(with_session)) == set(PROBES) == set(statusz(client))
    assert "sessionid" not in with_session.cookies


@pytest.mark.django_db
def test_processes_are_told_of_by_what_they_say(
    client: Client, embedded_services: None, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "INDEX", f"tests:heartbeats:{uuid.uuid4()}")
    assert statusz(client)["workers"]["code"] == "workers_missing"
    for role, queues in (("worker", ("urgent", "routine")), ("background", ("housekeeping",))):
        monkeypatch.setattr(processes, "_identity", processes._Identity())
        processes.name_process(role)
        beat(queues=queues)

    told = statusz(client)

    assert (told["workers"]["state"], told["background"]["state"]) == ("ok", "ok")
    assert told["beat"]["code"] == "beat_missing"
    assert told["release"]["facts"]["version"] == VERSION
    settings.HEARTBEAT_SILENT_SECONDS = -1
    assert statusz(client)["workers"]["code"] == "workers_silent"


@pytest.mark.django_db(transaction=True)
def test_queue_and_failures_are_told_in_counts_and_ages(
    client: Client, embedded_services: None
) -> None:
    now = timezone.now()
    study = make_study(department=make_department())
    since = now - dt.timedelta(seconds=300)
    Classification.objects.create(
        study=study, task="chest-xray", priority="urgent", queued_at=since
    )
    assert statusz(client)["queue"]["code"] == "queue_late"
    Classification.objects.update(waiting_code="bundle_unavailable")
    queue = statusz(client)["queue"]
    assert queue["code"] == "queue_held_up"
    assert queue["facts"]["held_up"] == {"bundle_unavailable": 1}
    assert queue["facts"]["waiting"]["urgent"]["waiting"] == 1
    assert queue["facts"]["waiting"]["urgent"]["oldest_s"] >= 300
    assert statusz(client)["failures"]["facts"] == {"by_code": {}}

    Classification.objects.update(
        state="failed", failure_code="unexpected", finished_at=now, waiting_code=""
    )
    for task in ("brain-mri", "lung-ct"):
        Classification.objects.create(
            study=study, task=task, state="failed", failure_code="unexpected", finished_at=now
        )
    failures = statusz(client)["failures"]
    assert (failures["code"], failures["facts"]["by_code"]) == (
        "failures_many",
        {"unexpected": 3},
    )


@pytest.mark.django_db
def test_status_page_says_in_words_what_needs_a_look(
    admin_in: Client, embedded_services: None, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = Part("ill", State.DOWN, "ill_down", "It lies <down>.", "Help it up.")
    monkeypatch.setitem(PROBES, "ill", lambda: ill)
    session = Session.objects.get()

    page = admin_in.get("/status/").content.decode()
    fragment = admin_in.get("/status/parts/")

    assert "It lies &lt;down&gt;." in page
    assert "Help it up." in page
    assert page.index("ill_down") < page.index("PostgreSQL answers.")
    assert '<html lang="en"' not in fragment.content.decode()
    # What a page asks for by itself keeps no session alive.
    Session.objects.update(expire_date=session.expire_date)
    admin_in.get("/status/parts/")
    assert Session.objects.get().expire_date == session.expire_date


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/people/", "/api/v1/studies/"])
def test_an_outage_is_503_and_another_error_of_the_database_500(
    admin_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin_in.raise_request_exception = False

    def answer_when(error: Exception) -> Any:
        def fail(*args: object, **kwargs: object) -> None:
            raise OperationalError("it broke") from error

        with monkeypatch.context() as patch:
            patch.setattr(VerbRequiredMixin, "dispatch", fail)
            patch.setattr(HasVerb, "has_permission", fail)
            return admin_in.get(path)

    outage = answer_when(psycopg2.OperationalError("connection refused"))
    mistake = answer_when(psycopg2.ProgrammingError("no such table"))

    assert (outage.status_code, outage["Retry-After"]) == (503, "5")
    assert mistake.status_code == 500
    assert "Retry-After" not in mistake


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_nobody_has_begun_is_late_too(client: Client, embedded_services: None) -> None:
    export = Export.objects.create(
        department=make_department(),
        project="p",
        purpose="why",
        requested_by=make_user(Role.REVIEWER),
    )
    assert statusz(client)["exports"]["code"] == "ok"

    two_hours_ago = timezone.now() - dt.timedelta(hours=2)
    Export.objects.filter(pk=export.pk).update(requested_at=two_hours_ago, touched_at=None)

    late = statusz(client)["exports"]
    assert (late["code"], late["facts"]["waiting"]) == ("exports_late", 1)
    assert late["facts"]["oldest_s"] >= 7200


@pytest.mark.django_db
def test_versions_are_asked_for_once_however_much_is_told_of_them() -> None:
    with CaptureQueriesContext(connection) as queries:
        found = work.models()

    assert found.state == "ok"
    asked = [one for one in queries if 'FROM "classifier_modelversion"' in one["sql"]]
    assert len(asked) == 1
