"""PostgreSQL refuses, says nothing, or can't write: how long that costs, and what it is called."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from django.db import DatabaseError, connection, connections, transaction

from accounts.outages import is_database_outage, outlast, was_database_away
from accounts.postgresql.waiting import is_server_silent
from medimaging import addresses
from tests.installation import DATA_DIR, as_superuser
from tests.stopped import Wire, servers, stopped

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 2.0
"""What one answer may take while the server says nothing; it is designed to take 1.5."""


def ask(statement: str = "SELECT 1") -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def failure_of(act: Callable[[], object]) -> tuple[BaseException | None, float]:
    """The error that something ends with, and how many seconds that took."""
    began = time.monotonic()
    try:
        act()
    except Exception as error:  # noqa: BLE001 - it is what is looked at
        return error, time.monotonic() - began
    return None, time.monotonic() - began


@pytest.fixture
def silent_server() -> Iterator[None]:
    """Every process of PostgreSQL is stopped."""
    ask()
    with stopped(servers("postgres")):
        yield
    deadline = time.monotonic() + 10
    while is_server_silent() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_silent_server_costs_the_first_query_less_than_two_seconds_and_others_nothing(
    silent_server: None,
) -> None:
    error, took = failure_of(ask)

    assert is_database_outage(error), error
    assert took < PATIENCE_S
    connection.close()
    for _ in range(3):
        error, took = failure_of(ask)
        assert is_database_outage(error), error
        assert took < 0.1


def test_who_waits_already_gives_up_together_when_the_server_says_nothing(
    silent_server: None,
) -> None:
    found: list[tuple[BaseException | None, float]] = []

    def ask_in_a_thread() -> None:
        found.append(failure_of(ask))
        connection.close()

    threads = [threading.Thread(target=ask_in_a_thread) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert all(is_database_outage(error) for error, _ in found)
    assert max(took for _, took in found) < PATIENCE_S


def test_everything_works_by_itself_once_the_server_goes_on() -> None:
    ask()
    with stopped(servers("postgres")):
        failure_of(ask)
        assert is_server_silent()

    deadline = time.monotonic() + 5
    while is_server_silent():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    connection.close_if_unusable_or_obsolete()
    assert ask() == (1,)


def test_a_long_query_is_let_be_when_the_server_lives() -> None:
    assert ask("SELECT pg_sleep(2.2)::text") == ("",)


def test_a_rested_connection_that_leads_nowhere_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_name = ".s.PGSQL.5432"
    # The kernel takes 107 bytes, and pytest's own directories are long.
    directory = addresses.run_dir(DATA_DIR) / f"wire-{tmp_path.name[-8:]}"
    wire = Wire(directory / socket_name, addresses.postgres_socket_dir(DATA_DIR) / socket_name)
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", str(directory))
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    try:
        assert ask() == (1,)
        wire.hold()
        connection.health_check_enabled = True
        connection.health_check_done = False
        began = time.monotonic()

        assert ask() == (1,)

        assert 0.5 < time.monotonic() - began < PATIENCE_S
        assert not is_server_silent()
    finally:
        connection.close()
        wire.close()


def _refused() -> None:
    psycopg2.connect(host="/nowhere", user="nobody", dbname="none")


def _terminated() -> None:
    pid = ask("SELECT pg_backend_pid()")[0]
    with as_superuser() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    ask()


def _crowded() -> None:
    with as_superuser() as cursor:
        cursor.execute(f"ALTER ROLE {addresses.APP} CONNECTION LIMIT 0")
    try:
        connection.close()
        ask()
    finally:
        with as_superuser() as cursor:
            cursor.execute(f"ALTER ROLE {addresses.APP} CONNECTION LIMIT -1")


def _read_only() -> None:
    with transaction.atomic():
        ask("SELECT set_config('transaction_read_only', 'on', true)")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_session")


def _closed() -> None:
    with connection.cursor() as cursor:
        connection.connection.close()
        cursor.execute("SELECT 1")


@pytest.mark.parametrize("act", [_refused, _terminated, _crowded, _read_only, _closed])
def test_an_outage_is_known_as_one(act: Callable[[], None]) -> None:
    error, _ = failure_of(act)
    connection.close()

    assert error is not None
    assert is_database_outage(error), repr(error)


def _unknown_table() -> None:
    ask("SELECT * FROM no_such_table")


def _repeated_key() -> None:
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(
                "INSERT INTO django_session (session_key, session_data, expire_date) "
                "VALUES ('twice', '', now())"
            )


def _too_slow() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 50")
        cursor.execute("SELECT pg_sleep(1)")


def _locked() -> None:
    with as_superuser() as other, transaction.atomic(), connection.cursor() as cursor:
        other.execute("LOCK TABLE django_session")
        cursor.execute("LOCK TABLE django_session NOWAIT")


@pytest.mark.parametrize("act", [_unknown_table, _repeated_key, _too_slow, _locked])
def test_an_error_of_ours_is_no_outage(act: Callable[[], None]) -> None:
    error, _ = failure_of(act)

    assert isinstance(error, DatabaseError), repr(error)
    assert not is_database_outage(error)


def test_outlast_waits_and_does_it_again_once_the_server_is_back() -> None:
    ask()
    tries: list[float] = []

    def act() -> object:
        tries.append(time.monotonic())
        return ask()

    with contextlib.ExitStack() as silence:
        silence.enter_context(stopped(servers("postgres")))
        waking = threading.Timer(2.5, silence.close)
        waking.start()
        try:
            assert outlast(act) == (1,)
        finally:
            waking.join()
    assert len(tries) == 2
    assert was_database_away(within_s=20)
    with contextlib.suppress(Exception):
        connections.close_all()


def test_outlast_lets_an_error_of_ours_through() -> None:
    error, took = failure_of(lambda: outlast(_unknown_table))

    assert isinstance(error, DatabaseError)
    assert took < 1
