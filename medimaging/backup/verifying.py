"""Reading a backup set again, and proving that its dump can be restored."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from psycopg2 import sql

from medimaging import addresses
from medimaging.backup.errors import CountsDiffer, ScratchUnset
from medimaging.backup.places import batched
from medimaging.backup.restoring import restore_dump
from medimaging.backup.sets import BackupSet, Generation, Held, hash_of
from medimaging.backup.snapshots import connected, count_rows

READS_AT_ONCE = 8
BATCH = 1000


@dataclass
class Verified:
    """What was read, and what of it isn't what was written."""

    generations: list[str] = field(default_factory=list)
    halves: list[str] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 0
    lacking: int = 0
    problems: list[str] = field(default_factory=list)
    restored_rows: int | None = None


def verify_backup(
    *, place: Path, generation: str = "", everything: bool = False, is_restored: bool = False
) -> Verified:
    """Read a generation again, the newest unless one is named, or all of them.

    With `is_restored` its dump is also written into a database that is made for it and removed
    again, and the rows are counted. Raises BackupError.
    """
    source = BackupSet(place)
    source.check()
    chosen = source.generations() if everything else [source.generation(generation)]
    done = Verified(halves=[half.name for half in source.halves()])
    seen: set[str] = set()
    for one in chosen:
        done.generations.append(one.name)
        done.lacking += len(one.manifest()["lacking"])
        found = one.problems()
        done.problems += found
        if not found:
            _read_files(source, one, seen, done)
    if is_restored and not done.problems:
        done.restored_rows = _restore_aside(chosen[-1])
    return done


def _read_files(source: BackupSet, one: Generation, seen: set[str], done: Verified) -> None:
    def is_whole(held: Held) -> bool:
        return hash_of(source.path_of(held.sha256)) == held.sha256

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for batch in batched(one.files(), BATCH):
            unread = {held.sha256: held for held in batch if held.sha256 not in seen}
            seen.update(unread)
            held_files = list(unread.values())
            for held, whole in zip(held_files, pool.map(is_whole, held_files), strict=True):
                done.files += 1
                done.size_bytes += held.size
                if not whole:
                    done.problems.append(str(source.path_of(held.sha256)))


def _restore_aside(one: Generation) -> int:
    """Restore a dump into a database of its own; returns the rows. Raises CountsDiffer."""
    manifest = one.manifest()
    with _scratch_database() as address:
        restore_dump(one, manifest, address=address)
        with connected(address) as connection:
            found = count_rows(connection)
    stated: dict[str, int] = manifest["tables"]
    if found != stated:
        raise CountsDiffer(tables=", ".join(t for t in stated if found.get(t) != stated[t]))
    return sum(found.values())


@contextlib.contextmanager
def _scratch_database() -> Iterator[dict[str, Any]]:
    """Make an empty database for the block; whoever DATABASE_ADMIN_URL names may do that."""
    url = os.environ.get("DATABASE_ADMIN_URL", "")
    if not url and not os.environ.get("DATABASE_URL"):
        url = addresses.database_url(settings.DATA_DIR, "postgres", role=addresses.SUPERUSER)
    if not url:
        raise ScratchUnset
    address = addresses.connection_arguments(url)
    name = f"medimaging_verify_{secrets.token_hex(6)}"
    with connected(address) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            database = sql.Identifier(name)
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))
            try:
                yield {**address, "dbname": name}
            finally:
                cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
