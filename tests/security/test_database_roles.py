"""What the application's own database role can do to the trail, by SQL of a stranger's choice."""

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from django.conf import settings
from django.core.checks import Error
from django.db import connection

from accounts.audit import record_event
from accounts.choices import Action
from accounts.models import AuditEvent
from medimaging import addresses, checks
from medimaging.database_roles import DatabaseRole, find_faults
from tests.installation import DATA_DIR, TEST_DATABASE, as_superuser

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = (
    "event_id, occurred_at, action, outcome, actor_kind, actor_name, request_id, target_type, "
    "target_id, details"
)
FORGED = "gen_random_uuid(), now() - interval '30 days', 'study.viewed', 0, 'user', 'Forged', '', "
FORGED += "'study', 'x', '{}'"
TRIES = {
    "change": "UPDATE accounts_auditevent SET actor_name = 'x'",
    "remove": "DELETE FROM accounts_auditevent",
    "empty": "TRUNCATE accounts_auditevent",
    "back-dated": f"INSERT INTO accounts_auditevent ({COLUMNS}) VALUES ({FORGED})",
    "number of choice": f"INSERT INTO accounts_auditevent (id, {COLUMNS}) VALUES (-5, {FORGED})",
    "upsert": f"INSERT INTO accounts_auditevent (id, {COLUMNS}) SELECT min(id), {FORGED} "
    "FROM accounts_auditevent ON CONFLICT (id) DO UPDATE SET actor_name = 'x'",
    "merge": "MERGE INTO accounts_auditevent a USING (SELECT 1) s ON true "
    "WHEN MATCHED THEN UPDATE SET actor_name = 'x'",
    "replica": "SET session_replication_role = replica",
    "trigger off": "ALTER TABLE accounts_auditevent DISABLE TRIGGER ALL",
    "other function": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE "
    "plpgsql AS $$ BEGIN RETURN coalesce(new, old); END $$",
    "table swapped": "ALTER TABLE accounts_auditevent RENAME TO elsewhere",
    "column rewritten": "ALTER TABLE accounts_auditevent ALTER actor_name TYPE text USING 'x'",
    "rule": "CREATE RULE hush AS ON INSERT TO accounts_auditevent DO INSTEAD NOTHING",
    "trigger that drops": "CREATE TRIGGER hush BEFORE INSERT ON accounts_auditevent "
    "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "program": "COPY (SELECT 1) TO PROGRAM 'id'",
    "server file": "COPY (SELECT 1) TO '/tmp/written-by-the-database'",
    "file read": "SELECT pg_read_file('/etc/passwd')",
    "role": f"SET ROLE {addresses.OWNER}",
    "superuser": f"SET SESSION AUTHORIZATION {addresses.SUPERUSER}",
    "own role": "ALTER ROLE CURRENT_USER SUPERUSER",
    "new role": "CREATE ROLE mallory SUPERUSER",
    "shadow": "CREATE TEMPORARY TABLE accounts_auditevent (id int)",
    "shadow in the schema": "CREATE TABLE public.append_audit_events (id int)",
    "schema": "CREATE SCHEMA mine",
    "sequence": "SELECT setval(pg_get_serial_sequence('accounts_auditevent', 'id'), 1)",
    "lock": "BEGIN; LOCK TABLE accounts_auditevent IN ACCESS EXCLUSIVE MODE",
    "reviews": "UPDATE classifier_review SET comment = 'x'",
    "deployments": "DELETE FROM classifier_deployment",
    "tombstones": "UPDATE records_studytombstone SET deletion_reason = 'x'",
    "migrations": "DELETE FROM django_migrations",
    "people": "DELETE FROM accounts_user",
    "setting of the cluster": "ALTER SYSTEM SET fsync = off",
    "extension": "CREATE EXTENSION plpython3u",
}

REFUSED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.FeatureNotSupported)


@contextlib.contextmanager
def connected(role: str) -> Iterator[psycopg2.extensions.connection]:
    host = str(addresses.postgres_socket_dir(DATA_DIR))
    found = psycopg2.connect(host=host, user=role, dbname=TEST_DATABASE)
    with contextlib.closing(found):
        yield found


@pytest.mark.parametrize("try_", TRIES)
def test_the_application_cannot(try_: str) -> None:
    record_event(action=Action.AUDIT_VIEWED, actor=None, target_id="kept")

    with connected(addresses.APP) as app:
        app.autocommit = True
        with app.cursor() as cursor, pytest.raises(REFUSED):
            cursor.execute(TRIES[try_])

    assert AuditEvent.objects.get().target_id == "kept"


def test_the_products_own_connection_is_the_applications() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, session_user")
        assert cursor.fetchone() == (addresses.APP, addresses.APP)


def test_time_number_and_database_user_are_the_databases_whatever_is_sent() -> None:
    sent = {
        **{"id": -5, "occurred_at": "2001-01-01T00:00:00Z", "database_user": "postgres"},
        **{"event_id": str(uuid.uuid4()), "action": "study.viewed", "outcome": 0},
        **{"actor_kind": "user", "actor_name": "Forged", "request_id": "", "details": {}},
        **{"target_type": "", "target_id": ""},
    }
    with connected(addresses.APP) as app, app, app.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM append_audit_events(%s)", [json.dumps([sent])])

    event = AuditEvent.objects.get()
    assert event.pk > 0
    assert event.occurred_at.year > 2020
    assert event.database_user == addresses.APP


def test_events_of_one_transaction_keep_their_order_and_say_when_each_was_written() -> None:
    first = record_event(action=Action.AUDIT_VIEWED, actor=None, target_id="1")
    second = record_event(action=Action.AUDIT_VIEWED, actor=None, target_id="2")

    assert first.pk < second.pk
    assert first.occurred_at < second.occurred_at
    assert AuditEvent.objects.get(pk=second.pk).occurred_at == second.occurred_at


def test_the_auditor_reads_the_trail_and_nothing_else() -> None:
    record_event(action=Action.AUDIT_VIEWED, actor=None, target_id="kept")

    with connected(addresses.AUDITOR) as auditor, auditor.cursor() as cursor:
        cursor.execute("SELECT target_id FROM accounts_auditevent")
        assert cursor.fetchall() == [("kept",)]
        for statement in ("SELECT * FROM records_patient", TRIES["change"], TRIES["back-dated"]):
            auditor.rollback()
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)


def test_even_the_owner_meets_the_triggers() -> None:
    record_event(action=Action.AUDIT_VIEWED, actor=None, target_id="kept")

    with connected(addresses.OWNER) as owner, owner.cursor() as cursor:
        with pytest.raises(psycopg2.errors.RestrictViolation):
            cursor.execute(TRIES["remove"])
        owner.rollback()
        for statement in (TRIES["replica"], TRIES["program"], TRIES["own role"]):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
            owner.rollback()


def test_the_deployment_check_is_content_with_the_applications_role() -> None:
    assert find_faults() == []
    assert checks.check_database_role(None) == []


@pytest.mark.parametrize(
    ("role", "words"),
    [(addresses.SUPERUSER, "it is a superuser"), (addresses.OWNER, "it owns")],
)
def test_the_deployment_check_fails_for_any_more_powerful_role(role: str, words: str) -> None:
    environment = os.environ | {
        "DATABASE_URL": addresses.database_url(DATA_DIR, TEST_DATABASE, role=role),
        "SECRET_KEY": uuid.uuid4().hex * 2,
        "BEHIND_TLS": "true",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "medimaging.E004" in done.stderr
    assert words in done.stderr


def test_the_deployment_check_sees_a_right_on_the_trail_that_somebody_gave(request) -> None:
    grant = f"INSERT ON accounts_auditevent {{}} {addresses.APP}"
    with as_superuser() as cursor:
        cursor.execute("GRANT " + grant.format("TO"))
    try:
        (found,) = checks.check_database_role(None)
    finally:
        with as_superuser() as cursor:
            cursor.execute("REVOKE " + grant.format("FROM"))

    assert isinstance(found, Error)
    assert "it may write to accounts_auditevent" in found.msg


OLD = "an_older_release"


@pytest.fixture
def older_installation() -> Iterator[str]:
    """A database whose tables belong to its superuser, as they did before there were roles."""
    with contextlib.closing(superuser_of("postgres")) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {OLD}")
            manage("migrate", "--verbosity", "0", role=addresses.SUPERUSER)
            try:
                yield OLD
            finally:
                cursor.execute(f"DROP DATABASE {OLD} WITH (FORCE)")


def superuser_of(database: str) -> psycopg2.extensions.connection:
    host = str(addresses.postgres_socket_dir(DATA_DIR))
    return psycopg2.connect(host=host, user=addresses.SUPERUSER, dbname=database)


def manage(*words: str, role: str, **environment: str) -> None:
    """Run a command on the older installation as `role`."""
    urls = {"DATABASE_URL": addresses.database_url(DATA_DIR, OLD, role=role)}
    urls |= {"DATABASE_OWNER_URL": "", "DATABASE_AUDITOR_URL": ""}
    subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env=os.environ | urls | environment,
        check=True,
    )


def test_an_installation_that_ran_as_superuser_is_carried_over(older_installation: str) -> None:
    before = Path(DATA_DIR)
    owner = addresses.database_url(before, OLD, role=addresses.OWNER)
    admin = addresses.database_url(before, OLD, role=addresses.SUPERUSER)
    roles = {"DATABASE_OWNER_URL": owner, "DATABASE_ADMIN_URL": admin}

    for _ in range(2):
        manage("prepare_database", role=addresses.APP, **roles)
        manage("migrate", "--verbosity", "0", role=addresses.APP, **roles)

    with contextlib.closing(superuser_of(OLD)) as found, found.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
        )
        assert cursor.fetchall() == [(addresses.OWNER,)]
        cursor.execute(f"SET SESSION AUTHORIZATION {addresses.APP}")
        cursor.execute("SELECT count(*) FROM accounts_auditevent")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(TRIES["remove"])


def test_a_roles_password_is_taken_from_its_address() -> None:
    role = DatabaseRole.of("postgres://app:p%40ss@host:5432/medimaging")

    assert role == DatabaseRole("app", "p@ss")
    assert DatabaseRole.of("") is None
