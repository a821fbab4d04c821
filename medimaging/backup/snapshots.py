"""The database at one moment, while nothing that its rows name is removed."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg2
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from psycopg2 import extensions, sql

from medimaging.backup.errors import BackupRunning, DatabaseAway
from records.files.stores.locks import REMOVAL_LOCK

BACKUP_LOCK = 0x4241434B
"""Held by a backup or a restore, so that there is one at a time."""
REMOVALS_END_S = 60
"""Who removes a file at the moment is waited for, so long."""

TABLES = """
SELECT relname FROM pg_class
 WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
 ORDER BY relname
"""


def owner_alias() -> str:
    """The connection of whoever owns the tables; the app's own where nobody else does."""
    return "owner" if "owner" in connections.settings else DEFAULT_DB_ALIAS


def owner_address() -> dict[str, Any]:
    """What psycopg2 and PostgreSQL's programs connect with as the owner."""
    return dict(connections[owner_alias()].get_connection_params())


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Have a database that is away, or goes away meanwhile, raise DatabaseAway."""
    try:
        yield
    except (psycopg2.Error, DatabaseError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise DatabaseAway(reason=lines[0]) from error


@contextlib.contextmanager
def connected(address: dict[str, Any]) -> Iterator[extensions.connection]:
    """A connection of one's own, beside Django's. Raises DatabaseAway."""
    parameters = {key: value for key, value in address.items() if key != "cursor_factory"}
    with database_errors():
        connection = psycopg2.connect(**parameters)
    with contextlib.closing(connection):
        yield connection


@contextlib.contextmanager
def alone(connection: extensions.connection, *, place: object) -> Iterator[None]:
    """Let nobody else back up or restore this database; raises BackupRunning.

    PostgreSQL takes the lock back from a process that dies.
    """
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [BACKUP_LOCK])
        if not first_of(cursor):
            raise BackupRunning(place=place)
    yield


def hold_removals(connection: extensions.connection) -> None:
    """Let nobody remove a file until the connection ends: what removes waits for its next round."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = %s", [REMOVALS_END_S * 1000])
        cursor.execute("SELECT pg_advisory_lock(%s)", [REMOVAL_LOCK])


@dataclass(frozen=True)
class Snapshot:
    """What `connection` sees, and by which name another connection sees the same."""

    connection: extensions.connection
    id: str

    @property
    def server(self) -> int:
        """PostgreSQL's major version."""
        return int(self.connection.server_version) // 10000

    def count_rows(self) -> dict[str, int]:
        """How many rows each table holds."""
        return count_rows(self.connection)

    def store_id(self) -> UUID:
        """Which store is this database's."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT store_id FROM records_storeidentity")
            return UUID(str(first_of(cursor)))

    def migrations(self) -> list[str]:
        """Which migrations were applied, as `app.name`."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
            return [name for (name,) in cursor.fetchall()]


@contextlib.contextmanager
def snapshot(connection: extensions.connection) -> Iterator[Snapshot]:
    """Read the database as it is now, until the end of the block, whatever is written meanwhile."""
    connection.autocommit = False
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
            name = first_of(cursor)
        yield Snapshot(connection, name)
    finally:
        connection.rollback()


def count_rows(connection: extensions.connection) -> dict[str, int]:
    """How many rows each table of the schema holds."""
    counts = {}
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            counts[table] = first_of(cursor)
    return counts


def first_of(cursor: extensions.cursor) -> Any:
    """The one value that was asked for."""
    row = cursor.fetchone()
    return row[0] if row else None
