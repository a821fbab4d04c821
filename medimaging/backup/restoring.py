"""Bringing a backup back: files first, then the database in one transaction, then the checks."""

import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from psycopg2 import extensions, sql

from accounts.audit import record_event
from medimaging.backup.errors import (
    BackupDamaged,
    CountsDiffer,
    InUse,
    NotEmpty,
    ReleaseOlder,
    StoreAway,
)
from medimaging.backup.places import (
    batched,
    lies_whole,
    put_files,
    scratch_directory,
    set_up_store,
)
from medimaging.backup.programs import find_program, run_program
from medimaging.backup.sets import BackupSet, Generation, Held, Mismatch, copy_hashed, write_whole
from medimaging.backup.snapshots import (
    alone,
    connected,
    count_rows,
    database_errors,
    first_of,
    owner_address,
)
from medimaging.choices import Action
from medimaging.release import VERSION
from records.errors import StoreUnavailable
from records.files.stores import Spooled, begin_epoch, forget_store
from records.files.stores.local import make_private

MARK = "restore-unfinished.json"
"""In the data directory from the first change to the last check."""
SCRATCH = "restore-"
BATCH = 50
BATCHES_AT_ONCE = 8
USED = ("accounts_user", "records_study", "accounts_auditevent")
"""An installation without rows in these has never been used."""

OTHERS = """
SELECT usename, count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL
 GROUP BY usename ORDER BY usename
"""
DROPS = """
SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name) FROM (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
                        WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind,
           oid::regclass::text AS name, oid, 'pg_class'::regclass AS class
      FROM pg_class c
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S', 'v', 'm')
       AND NOT EXISTS (  -- the sequence of a column goes with its table
           SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')
              AND c.relkind = 'S')
    UNION ALL
    SELECT CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
           oid::regprocedure::text, oid, 'pg_proc'::regclass
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS found
WHERE NOT EXISTS (SELECT FROM pg_depend d
                   WHERE d.objid = found.oid AND d.classid = found.class AND d.deptype = 'e')
"""
"""Statements that empty the schema of all but what belongs to an extension."""


@dataclass
class Restored:
    """What came back."""

    generation: str
    made_at: str
    release: str
    rows: int = 0
    files: int = 0
    size_bytes: int = 0
    put: int = 0
    lacking: int = 0
    damaged: list[str] = field(default_factory=list)
    migrations: int = 0
    seconds: float = 0.0


def restore_backup(*, place: Path, generation: str = "", replace: bool = False) -> Restored:
    """Bring a generation back, the newest unless one is named, and migrate to this release.

    Half-way ended, it goes on when it is asked for again: what was put is compared and left. With
    `replace` an installation in use goes; files that the backup doesn't know stay for the sweeper.
    A file that the set has lost is named, and the rest comes back. Raises BackupError; the product
    must not be started after CountsDiffer.
    """
    started = time.monotonic()
    source = BackupSet(place)
    source.check()
    chosen = source.generation(generation)
    manifest = chosen.manifest()
    if problems := chosen.problems():
        raise BackupDamaged(problems=len(problems), first=problems[0])
    missing_migrations = _missing_migrations(manifest)
    done = Restored(chosen.name, manifest["made_at"], manifest["release"])
    done.lacking = len(manifest["lacking"])
    connections.close_all()
    with database_errors(), connected(owner_address()) as connection:
        _check_unused(connection, chosen, replace=replace)
        with alone(connection, place=place):
            _mark(chosen)
            set_up_store(UUID(manifest["store_id"]), replace=replace)
            _remove_scratch()
            _put_all(source, chosen, done)
            _restore_database(connection, chosen, manifest)
            done.rows = _compare_counts(connection, manifest)
    call_command("migrate", interactive=False, verbosity=0)
    _begin_epoch()
    done.migrations = missing_migrations
    done.seconds = round(time.monotonic() - started, 3)
    record_event(
        action=Action.BACKUP_RESTORED,
        actor=None,
        target_id=chosen.name,
        details={"made_at": done.made_at, "rows": done.rows, "files": done.files},
    )
    mark_path().unlink(missing_ok=True)
    return done


def mark_path() -> Path:
    """The file that stands while a restore isn't through."""
    return Path(settings.DATA_DIR) / MARK


def restore_dump(chosen: Generation, manifest: dict[str, Any], *, address: dict[str, Any]) -> None:
    """Write the dump into an empty database, all or nothing. Raises ProgramFailed."""
    program = find_program("pg_restore", version=manifest["database"]["server"])
    run_program(
        program,
        *("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"),
        str(chosen.dump),
        address=address,
    )


def _missing_migrations(manifest: dict[str, Any]) -> int:
    """How many migrations this release will apply; raises ReleaseOlder where it lacks some."""
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    unknown = sorted(set(manifest["migrations"]) - known)
    if unknown:
        names = ", ".join(unknown[:5])
        raise ReleaseOlder(made_by=manifest["release"], release=VERSION, names=names)
    return len(known - set(manifest["migrations"]))


def _check_unused(connection: extensions.connection, chosen: Generation, *, replace: bool) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(OTHERS)
        others = ", ".join(f"{count} as {name}" for name, count in cursor.fetchall())
        if others:
            raise InUse(others=others)
        rows = []
        for table in USED:
            cursor.execute("SELECT to_regclass(%s)", [f"public.{table}"])
            if first_of(cursor) is None:
                continue
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            if count := first_of(cursor):
                rows.append(f"{count} rows in {table}")
    if rows and not replace and _unfinished() != chosen.name:
        raise NotEmpty(rows=", ".join(rows))


def _unfinished() -> str:
    """Which generation was being restored when its process ended; empty for none."""
    try:
        return str(json.loads(mark_path().read_text())["generation"])
    except (OSError, ValueError, KeyError):
        return ""


def _mark(chosen: Generation) -> None:
    make_private(mark_path().parent)
    write_whole(mark_path(), json.dumps({"generation": chosen.name}))


def _remove_scratch() -> None:
    """Remove what a killed run has left on its way into the store."""
    for left in scratch_directory().glob(f"{SCRATCH}*"):
        left.unlink(missing_ok=True)


def _put_all(source: BackupSet, chosen: Generation, done: Restored) -> None:
    """Put every file where it belongs, unless it lies there whole."""

    def put(batch: list[Held]) -> tuple[int, list[str]]:
        return _put_batch(source, batch)

    with ThreadPoolExecutor(BATCHES_AT_ONCE) as pool:
        for some in batched(batched(chosen.files(), BATCH), BATCHES_AT_ONCE):
            for batch, (count, damaged) in zip(some, pool.map(put, some), strict=True):
                done.files += len(batch)
                done.size_bytes += sum(held.size for held in batch)
                done.put += count
                done.damaged += damaged


def _put_batch(source: BackupSet, batch: list[Held]) -> tuple[int, list[str]]:
    problems, copied = [], []
    try:
        for held in batch:
            if lies_whole(held.place, held.name, sha256=held.sha256):
                continue
            try:
                copied.append((held, _copy_out(source, held)))
            except (OSError, Mismatch):
                problems.append(str(source.path_of(held.sha256)))
        for place in sorted({held.place for held, _ in copied}):
            put_files(place, [(held.name, file) for held, file in copied if held.place == place])
    finally:
        for _, file in copied:
            file.path.unlink(missing_ok=True)
    return len(copied), problems


def _copy_out(source: BackupSet, held: Held) -> Spooled:
    """Copy a file of the set to where it can be put from; raises Mismatch."""
    handle, name = tempfile.mkstemp(dir=scratch_directory(), prefix=SCRATCH)
    path = Path(name)
    try:
        with source.path_of(held.sha256).open("rb") as stream, os.fdopen(handle, "wb") as target:
            sha256, size = copy_hashed(stream, target)
        if sha256 != held.sha256:
            raise Mismatch
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Spooled(path=path, sha256=sha256, size=size)


def _restore_database(
    connection: extensions.connection, chosen: Generation, manifest: dict[str, Any]
) -> None:
    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        cursor.execute(DROPS)
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)
    restore_dump(chosen, manifest, address=owner_address())


def _begin_epoch() -> None:
    forget_store()
    try:
        begin_epoch()
    except StoreUnavailable as error:
        raise StoreAway(reason=error.reason) from error


def _compare_counts(connection: extensions.connection, manifest: dict[str, Any]) -> int:
    with connection:
        found = count_rows(connection)
    stated = manifest["tables"]
    differing = sorted(
        table for table in stated.keys() | found.keys() if stated.get(table) != found.get(table)
    )
    if differing:
        raise CountsDiffer(tables=", ".join(differing))
    return sum(found.values())
