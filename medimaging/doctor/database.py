"""PostgreSQL: each role, what it may do, what the server is, and whether the clocks agree."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
from django.conf import settings
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class

from medimaging import addresses
from medimaging.checks import check_database_role
from medimaging.database_roles import AUDIT_TABLES
from medimaging.doctor import clocks
from medimaging.doctor.configured import of_check
from medimaging.doctor.findings import Finding, error, first_line, ok, warning

CONNECT_S = 5
STATEMENT_MS = 5000
OLDEST = 14
"""The oldest major version that Django still works with."""

SERVER = """
SELECT current_setting('server_version_num')::int / 10000,
       current_setting('server_encoding'),
       (SELECT oid::text FROM pg_database WHERE datname = current_database())
           || pg_postmaster_start_time()::text,
       (SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
          FROM pg_roles WHERE rolname = current_user)
"""
NOT_OWNED = """
SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')
   AND relnamespace = 'public'::regnamespace AND relowner <> current_user::regrole
"""
AUDITS = """
SELECT count(*) FILTER (WHERE has_table_privilege(c.oid, 'SELECT')),
       count(*) FILTER (WHERE has_table_privilege(c.oid, 'INSERT')
                           OR has_table_privilege(c.oid, 'UPDATE')
                           OR has_table_privilege(c.oid, 'DELETE'))
  FROM pg_class c WHERE c.oid = ANY (SELECT to_regclass('public.' || name) FROM unnest(%s) name)
"""


def examine() -> Iterator[Finding]:
    """Ask as the application, then as the owner and the auditor where they are named."""
    try:
        with opened(settings.DATABASE_URL) as connection, connection.cursor() as cursor:
            cursor.execute(SERVER)
            version, encoding, place, _ = _row(cursor)
            yield ok("database_reached", f"PostgreSQL {version} answers the application's role.")
            yield from _server(version, encoding)
            yield from _time(cursor)
    except psycopg2.Error as failure:
        yield _unreachable("DATABASE_URL", failure)
        return
    yield from map(of_check, check_database_role(None))
    for name, role, url in (
        ("DATABASE_OWNER_URL", "owner", settings.DATABASE_OWNER_URL),
        ("DATABASE_AUDITOR_URL", "auditor", settings.DATABASE_AUDITOR_URL),
    ):
        if url:
            yield from _as_other(name, role, url, place)


def _server(version: int, encoding: str) -> Iterator[Finding]:
    if version < OLDEST:
        yield error(
            "database_too_old",
            f"PostgreSQL {version} is older than {OLDEST}.",
            f"Move to PostgreSQL {OLDEST} or newer.",
        )
    if encoding != "UTF8":
        yield error(
            "database_encoding",
            f"The database is encoded in {encoding}: not every name can be written.",
            "Make a database with ENCODING 'UTF8', and restore into it.",
        )


def _time(cursor: Any) -> Iterator[Finding]:
    before = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
    (theirs,) = cursor.fetchone()
    yield clocks.compare("PostgreSQL", before_s=before, theirs_s=theirs, after_s=time.time())
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = %s)", [settings.TIME_ZONE]
    )
    if not cursor.fetchone()[0]:
        yield error(
            "database_time_zone",
            f"PostgreSQL doesn't know the time zone {settings.TIME_ZONE}.",
            "Set TIME_ZONE to one that both know, or renew PostgreSQL's time zone data.",
        )


def _as_other(name: str, role: str, url: str, place: str) -> Iterator[Finding]:
    try:
        with opened(url) as connection, connection.cursor() as cursor:
            cursor.execute(SERVER)
            _, _, found, is_powerful = _row(cursor)
            yield ok("database_reached", f"PostgreSQL answers the {role}.")
            if found != place:
                yield error(
                    "database_differs",
                    f"{name} leads to another database than DATABASE_URL.",
                    "Name the same host and database in both.",
                )
            if is_powerful:
                yield warning(
                    "database_role_powerful",
                    f"The {role} is a superuser, or may make roles or databases.",
                    "Run `manage.py prepare_database` once.",
                )
            yield from (_owner if role == "owner" else _auditor)(cursor)
    except psycopg2.Error as failure:
        yield _unreachable(name, failure)


def _owner(cursor: Any) -> Iterator[Finding]:
    cursor.execute(NOT_OWNED)
    (others,) = cursor.fetchone()
    if others:
        yield error(
            "database_not_owned",
            f"The owner doesn't own {others} of the tables: `migrate` would fail.",
            "Run `manage.py prepare_database` once.",
        )


def _auditor(cursor: Any) -> Iterator[Finding]:
    cursor.execute(AUDITS, [list(AUDIT_TABLES)])
    readable, writable = cursor.fetchone()
    if writable or readable < len(AUDIT_TABLES):
        yield error(
            "database_auditor",
            "The auditor may write to the audit trail, or can't read it.",
            "Run `manage.py prepare_database`, then `manage.py migrate`.",
        )


def _unreachable(name: str, failure: psycopg2.Error) -> Finding:
    return error(
        "database_unreachable",
        f"PostgreSQL can't be used as {name} says: {first_line(failure)}.",
        f"Compare host, port, database, role and password of {name} with the server's.",
    )


def _row(cursor: Any) -> tuple[Any, ...]:
    """The one row of a question that always has one."""
    return tuple(cursor.fetchone())


@contextlib.contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Connect as an address says, for a few quick questions."""
    bounds = {"connect_timeout": CONNECT_S, "options": f"-c statement_timeout={STATEMENT_MS}"}
    connection = psycopg2.connect(**{**bounds, **addresses.connection_arguments(url)})
    with contextlib.closing(connection):
        yield connection
