"""What a backup holds, what stands in its way, and what becomes of half of one."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from accounts.choices import Outcome
from accounts.models import AuditEvent
from medimaging import addresses
from medimaging.backup.errors import (
    BackupRunning,
    NoGeneration,
    ProgramFailed,
    ProgramMissing,
    StoreAway,
)
from medimaging.backup.making import make_backup
from medimaging.backup.programs import find_program, run_program
from medimaging.backup.snapshots import alone, connected, hold_removals, owner_address
from medimaging.backup.verifying import verify_backup
from medimaging.choices import Action
from records.models import Export, Instance, UnreferencedFile
from records.services import expire_exports, sweep_export_files
from records.services.storage import remove_unreferenced
from tests.backup.installations import Installation, fill
from tests.factories import make_user
from tests.installation import DATA_DIR, TEST_DATABASE, as_superuser

DIGEST = "d" * 64


@pytest.fixture
def instances(local_store: Path) -> list[Instance]:
    return fill(5)


def held_files(backups: Path) -> set[str]:
    return {path.name for path in backups.glob("files/??/??/*")}


def make_export(instance: Instance, *, days_ago: int = 0) -> Export:
    """A copy that is ready, with its file."""
    study = instance.series.study
    export = Export.objects.create(
        department=study.department,
        project="P",
        purpose="teaching",
        state="ready",
        requested_by=make_user(),
        sha256=DIGEST,
        ready_at=timezone.now() - dt.timedelta(days=days_ago),
    )
    name = storages["default"].save(f"exports/{export.pk}/copy.zip", ContentFile(b"a copy"))
    Export.objects.filter(pk=export.pk).update(file=name)
    export.refresh_from_db()
    return export


@contextlib.contextmanager
def backup_under_way() -> Iterator[None]:
    """What a backup holds from its first moment to its last."""
    with connected(owner_address()) as other, alone(other, place="elsewhere"):
        hold_removals(other)
        yield


def test_exports_and_bundles_come_too_and_everything_is_private(
    instances, backups: Path, local_store: Path, new: Installation
) -> None:
    export = make_export(instances[0])
    bundle = local_store.parent / "bundles" / DIGEST
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    half = local_store.parent / "bundles" / "being-copied"
    half.mkdir()
    (half / "manifest.json").write_text("{")

    made = make_backup(place=backups)
    connections.close_all()
    new.run("restore", str(backups))

    assert (made.files, made.copied, made.lacking) == (7, 7, [])
    assert (new.data_dir / "files" / export.file.name).read_bytes() == b"a copy"
    assert (new.data_dir / "bundles" / DIGEST / "manifest.json").read_text() == "{}"
    assert not (new.data_dir / "bundles" / "being-copied").exists()
    modes = {path.stat().st_mode & 0o077 for path in (backups, *backups.rglob("*"))}
    assert modes == {0}


def test_nothing_is_removed_while_a_backup_copies(instances, local_store: Path) -> None:
    export = make_export(instances[0], days_ago=365)
    copy = local_store.parent / "files" / export.file.name
    orphan = local_store / instances[0].file.name
    Instance.objects.filter(pk=instances[0].pk).update(file="")
    UnreferencedFile.objects.create(
        name=instances[0].file.name, size_bytes=1, due_at=timezone.now()
    )

    with backup_under_way():
        assert remove_unreferenced().removed == 0
        assert expire_exports() == 1
        assert orphan.exists()
        assert copy.exists()

    assert remove_unreferenced().removed == 1
    assert not orphan.exists()
    os.utime(copy.parent, (0, 0))
    assert sweep_export_files() == 1
    assert not copy.parent.exists()


def test_a_file_destroyed_while_it_copies_is_in_the_backup_of_its_row(
    instances, backups: Path, local_store: Path
) -> None:
    """The copying stands still at a pipe until the study is gone from the database."""
    old = Installation(local_store.parent, TEST_DATABASE)
    last = max(instances, key=lambda one: one.sha256)
    stored = local_store / last.file.name
    content = stored.read_bytes()
    stored.unlink()
    os.mkfifo(stored)
    process = old.begin("backup", str(backups))
    with stored.open("wb") as pipe:  # returns once it is opened for reading
        gone = {one.file.name for one in instances if one != last}
        Instance.objects.exclude(pk=last.pk).update(file="")
        UnreferencedFile.objects.bulk_create(
            UnreferencedFile(name=name, size_bytes=1, due_at=timezone.now()) for name in gone
        )
        assert remove_unreferenced().removed == 0
        pipe.write(content)
    said, complained = process.communicate(timeout=60)

    assert process.returncode == 0, said + complained
    assert held_files(backups) == {one.sha256 for one in instances}
    assert remove_unreferenced().removed == 4


def test_only_one_backup_at_a_time(instances, backups: Path) -> None:
    with backup_under_way(), pytest.raises(BackupRunning):
        make_backup(place=backups)

    assert make_backup(place=backups).files == 5


def test_a_killed_backup_is_half_a_backup_and_the_next_goes_on(
    local_store: Path, backups: Path
) -> None:
    instances = fill(300)
    old = Installation(local_store.parent, TEST_DATABASE)
    stalls = local_store / sorted(one.file.name for one in instances)[200]
    content = stalls.read_bytes()
    stalls.unlink()
    os.mkfifo(stalls)
    process = old.begin("backup", str(backups))
    with stalls.open("wb"):  # returns once it is opened for reading
        process.kill()
        process.communicate()
    stalls.unlink()
    stalls.write_bytes(content)
    before = len(held_files(backups))

    with pytest.raises(NoGeneration):
        verify_backup(place=backups)
    made = make_backup(place=backups, keep=1)

    assert 0 < before < 300
    assert (made.copied, made.files) == (300 - before, 300)
    assert verify_backup(place=backups).halves == []
    assert not list(backups.glob("files/new-*"))
    assert verify_backup(place=backups).problems == []


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_file_that_the_store_has_lost_is_named_and_taken_from_an_earlier_backup(
    instances, backups: Path, local_store: Path, how: str
) -> None:
    lost = local_store / instances[0].file.name
    content = lost.read_bytes()

    def lose() -> None:
        lost.unlink() if how == "missing" else lost.write_bytes(b"\0" * len(content))

    lose()
    made = make_backup(place=backups, keep=1)
    assert [(one.reason, one.name) for one in made.lacking] == [(how, instances[0].file.name)]
    assert made.files == 4
    event = AuditEvent.objects.filter(action=Action.BACKUP_MADE).latest("id")
    assert (event.outcome, event.details["lacking"]) == (Outcome.SERIOUS_FAILURE, 1)
    assert event.sentence == f"A backup was made: {made.rows} rows, 4 files, 1 lacking"
    with pytest.raises(CommandError, match="files_lacking"):
        call_command("backup", str(backups))

    lost.write_bytes(content)
    assert make_backup(place=backups).lacking == []
    lose()
    assert make_backup(place=backups).lacking == []


def test_a_store_that_cannot_be_read_makes_no_backup(instances, backups: Path, local_store) -> None:
    unreadable = local_store / instances[0].file.name
    unreadable.unlink()
    unreadable.mkdir()  # EISDIR, as a failing disk says EIO

    with pytest.raises(StoreAway):
        make_backup(place=backups)

    assert not list(backups.glob("generations/*/manifest.json"))


def test_keep_removes_older_backups_and_the_files_that_only_they_had(
    instances, backups: Path
) -> None:
    first = make_backup(place=backups)
    Instance.objects.filter(pk=instances[0].pk).update(file="")
    fill(1)

    made = [make_backup(place=backups, keep=2) for _ in range(2)]

    assert [one.generations_removed for one in made] == [0, 1]
    assert [one.files_removed for one in made] == [0, 1]
    assert instances[0].sha256 not in held_files(backups)
    names = sorted(path.name for path in backups.glob("generations/*"))
    assert names == [one.generation for one in made]
    assert first.generation not in names
    assert verify_backup(place=backups, everything=True).problems == []


def test_verify_names_what_was_altered_and_the_next_backup_heals_it(
    instances, backups: Path, capsys
) -> None:
    make_backup(place=backups)
    held = next(backups.glob("files/??/??/*"))
    content = bytearray(held.read_bytes())
    content[-1] ^= 1
    held.write_bytes(content)

    with pytest.raises(CommandError, match="backup_damaged"):
        call_command("verify_backup", str(backups))
    assert str(held) in capsys.readouterr().err
    held.unlink()
    assert make_backup(place=backups).copied == 1
    assert verify_backup(place=backups).problems == []


@pytest.mark.parametrize("name", ["database.dump", "files.tsv", "manifest.json"])
def test_an_altered_generation_is_never_restored(instances, backups: Path, name: str) -> None:
    make_backup(place=backups)
    path = next(backups.glob(f"generations/*/{name}"))
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(CommandError, match=r"\[backup_damaged\]"):
        call_command("restore", str(backups), "--replace")

    assert Instance.objects.count() == 5


def test_the_dump_is_proved_in_a_database_of_its_own(
    instances, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_backup(place=backups)
    superuser = addresses.database_url(DATA_DIR, "postgres", role=addresses.SUPERUSER)
    monkeypatch.setenv("DATABASE_ADMIN_URL", superuser)

    done = verify_backup(place=backups, is_restored=True)

    assert done.restored_rows == made.rows
    with as_superuser() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'medimaging_verify%'")
        assert cursor.fetchone() == (0,)


def test_a_directory_of_other_things_is_never_written_to(instances, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(CommandError, match="not_a_backup_set"):
        call_command("backup", str(tmp_path))


def test_an_older_pg_dump_is_refused_by_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.14 (Debian)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    assert find_program("pg_dump", version=15) == old
    assert find_program("pg_dump", version=18) != old
    with pytest.raises(
        ProgramMissing, match="of PostgreSQL 99 or newer is needed; here is"
    ) as raised:
        find_program("pg_dump", version=99)
    assert f"{old} of 15" in raised.value.message


def test_a_password_is_in_no_command_line(tmp_path: Path) -> None:
    """Another account of the machine can read those."""
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD $*" >&2\nexit 3\n')
    program.chmod(0o755)

    with pytest.raises(ProgramFailed) as raised:
        run_program(program, address={"dbname": "d", "user": "u", "password": "s3 cr'et"})

    assert "s3 cr'et --no-password --dbname=dbname=d user=u" in raised.value.message
