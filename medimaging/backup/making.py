"""Making a backup: the database at one moment, and every file that its rows name."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from psycopg2 import extensions

from accounts.audit import record_event
from accounts.choices import Outcome
from medimaging.backup.errors import SetUnwritable
from medimaging.backup.places import (
    AT_ONCE,
    Wanted,
    batched,
    check_images,
    open_wanted,
    wanted_files,
)
from medimaging.backup.programs import find_program, run_program
from medimaging.backup.sets import (
    LIST,
    BackupSet,
    Generation,
    Held,
    Mismatch,
    hash_of,
    private_opener,
)
from medimaging.backup.snapshots import (
    Snapshot,
    alone,
    connected,
    database_errors,
    hold_removals,
    owner_address,
    snapshot,
)
from medimaging.choices import Action
from medimaging.release import VERSION

COPIES_AT_ONCE = 8
WANTED = "wanted.tsv"


@dataclass(frozen=True, slots=True)
class Lacking:
    """A file that a row names and nobody has any more as it was."""

    place: str
    name: str
    reason: str


@dataclass
class Made:
    """What one backup took."""

    generation: str = ""
    seconds: float = 0.0
    rows: int = 0
    dump_bytes: int = 0
    files: int = 0
    size_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    lacking: list[Lacking] = field(default_factory=list)
    generations_removed: int = 0
    files_removed: int = 0


def make_backup(*, place: Path, keep: int | None = None) -> Made:
    """Add a generation to the set in `place`; with `keep` remove all but the newest so many.

    A file that is missing or damaged in the store, and in no earlier generation, is listed as
    lacking: it keeps nobody from saving the rest, and nothing is pruned then. Raises BackupError.
    """
    made, target = Made(), BackupSet(place)
    try:
        with database_errors():
            check_images()
        target.prepare()
        with (
            database_errors(),
            target.locked(),
            connected(owner_address()) as connection,
            alone(connection, place=place),
        ):
            hold_removals(connection)
            target.remove_halves()
            _add_generation(target, connection, made)
            if keep is not None and not made.lacking:
                made.generations_removed, made.files_removed = target.prune(keep=keep)
    except OSError as error:
        raise SetUnwritable(place=place, reason=error.strerror or error) from error
    _record(made)
    return made


def _add_generation(target: BackupSet, connection: extensions.connection, made: Made) -> None:
    begun_at, started = timezone.now(), time.monotonic()
    generation = target.begin(begun_at)
    with snapshot(connection) as seen:
        manifest = _save_database(seen, generation)
        _list_wanted(seen, generation)
    _copy_files(target, generation, made)
    made.seconds = round(time.monotonic() - started, 3)
    made.rows = sum(manifest["tables"].values())
    made.dump_bytes = manifest["database"]["size_bytes"]
    described = {"made_at": begun_at.isoformat(), **manifest, **_describe(made, generation)}
    made.generation = target.finish(generation, described).name


def _save_database(seen: Snapshot, generation: Generation) -> dict[str, Any]:
    program = find_program("pg_dump", version=seen.server)
    run_program(
        program,
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={seen.id}",
        f"--file={generation.dump}",
        address=owner_address(),
    )
    generation.dump.chmod(0o600)
    return {
        "release": VERSION,
        "database": {
            "server": seen.server,
            "sha256": hash_of(generation.dump),
            "size_bytes": generation.dump.stat().st_size,
        },
        "migrations": seen.migrations(),
        "store_id": str(seen.store_id()),
        "tables": seen.count_rows(),
    }


def _list_wanted(seen: Snapshot, generation: Generation) -> None:
    """Write the names down, so that the snapshot needn't stay while files are copied."""
    with open(generation.path / WANTED, "w", opener=private_opener) as lines:
        lines.writelines(f"{one.place}\t{one.name}\n" for one in wanted_files(seen.connection))


def _wanted(generation: Generation) -> Iterator[Wanted]:
    with (generation.path / WANTED).open() as lines:
        for line in lines:
            yield Wanted(*line.rstrip("\n").split("\t", 1))


def _copy_files(target: BackupSet, generation: Generation, made: Made) -> None:
    def copy(wanted: Wanted) -> tuple[Held, bool] | Lacking:
        return _copy(target, wanted)

    with (
        open(generation.path / LIST, "w", opener=private_opener) as lines,
        ThreadPoolExecutor(COPIES_AT_ONCE) as pool,
    ):
        for batch in batched(_wanted(generation), AT_ONCE):
            for found in pool.map(copy, batch):
                if isinstance(found, Lacking):
                    check_images()  # a file is missing only where the store isn't away
                    made.lacking.append(found)
                    continue
                held, is_new = found
                lines.write(held.line)
                made.files += 1
                made.size_bytes += held.size
                made.copied += is_new
                made.copied_bytes += held.size * is_new
    (generation.path / WANTED).unlink()


def _copy(target: BackupSet, wanted: Wanted) -> tuple[Held, bool] | Lacking:
    sha256 = wanted.expected
    held = target.size_of(sha256) if sha256 else None
    if held is not None:
        return Held(wanted.place, wanted.name, sha256, held), False
    try:
        with open_wanted(wanted) as source:
            found, size, is_new = target.take(source, expected=sha256)
    except FileNotFoundError:
        return Lacking(wanted.place, wanted.name, "missing")
    except Mismatch:
        return Lacking(wanted.place, wanted.name, "damaged")
    return Held(wanted.place, wanted.name, found, size), is_new


def _describe(made: Made, generation: Generation) -> dict[str, Any]:
    return {
        "seconds": made.seconds,
        "store": settings.STORAGES["images"]["BACKEND"].rpartition(".")[2],
        "files": {
            "list_sha256": hash_of(generation.path / LIST),
            "count": made.files,
            "size_bytes": made.size_bytes,
            "copied": made.copied,
            "copied_bytes": made.copied_bytes,
        },
        "lacking": [asdict(one) for one in made.lacking],
    }


def _record(made: Made) -> None:
    record_event(
        action=Action.BACKUP_MADE,
        actor=None,
        target_id=made.generation,
        outcome=Outcome.SERIOUS_FAILURE if made.lacking else Outcome.SUCCESS,
        details={"rows": made.rows, "files": made.files, "lacking": len(made.lacking)},
    )
