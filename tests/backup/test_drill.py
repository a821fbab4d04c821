"""The drill: a thousand studies saved, saved again, lost, and brought back whole."""

import json
import re
import time
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from django.db import connections

from records.models import Instance
from tests.backup.installations import Installation, fill, hashes_below
from tests.installation import TEST_DATABASE

STUDIES = 1000
OWNED_BY_OTHERS = """
SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'medimaging_owner'
"""
MAY_WRITE_TO_THE_TRAIL = """
SELECT has_table_privilege('medimaging_app', 'accounts_auditevent', 'INSERT')
"""


def back_up(backups: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    call_command("backup", str(backups), *options)
    return capsys.readouterr().out


def new_files(said: str) -> int:
    return int(re.search(r"of which (\d+) new", said)[1])


def newest_manifest(backups: Path) -> dict:
    return json.loads(max(backups.glob("generations/*/manifest.json")).read_text())


def test_a_thousand_studies_come_back_with_every_row_and_hash(
    local_store: Path, backups: Path, new: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Installation(local_store.parent, TEST_DATABASE)
    fill(STUDIES - 10)
    started = time.monotonic()
    first = back_up(backups, capsys)
    first_s = time.monotonic() - started
    fill(10)
    started = time.monotonic()
    second = back_up(backups, capsys)
    second_s = time.monotonic() - started
    counts = old.counts()
    connections.close_all()

    # Killed while it copies, as soon as it has begun; then asked for again.
    process = new.begin("restore", str(backups))
    mark = new.data_dir / "restore-unfinished.json"
    while process.poll() is None and not (mark.exists() and any(new.images.glob("??/??/*"))):
        time.sleep(0.005)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.communicate()
    put_before = len(hashes_below(new.images))
    rows_before = sum(new.counts().values())
    started = time.monotonic()
    told = new.run("restore", str(backups))
    restore_s = time.monotonic() - started

    print(
        f"backup {first_s:.1f} s, again {second_s:.1f} s, killed at {put_before}, {restore_s:.1f} s"
    )
    assert (new_files(first), new_files(second)) == (STUDIES - 10, 10)
    assert 0 < put_before < STUDIES
    assert rows_before == 0
    assert "1000 (" in told
    assert hashes_below(new.images) == hashes_below(local_store)
    assert len(hashes_below(new.images)) == Instance.objects.count() == STUDIES
    # The backup itself was noted after its own snapshot, its return at the end.
    assert new.counts() == counts
    assert new.ask("SELECT count(*) FROM accounts_auditevent WHERE action = 'backup.restored'") == 1
    assert newest_manifest(backups)["tables"]["records_study"] == STUDIES
    assert not mark.exists()
    assert list((new.images / "incoming").iterdir()) == []
    call_command("verify_backup", str(backups), "--all")
    assert "Nothing is damaged" in capsys.readouterr().out
    # Owner, grants and triggers are as `migrate` leaves them, and the store is this database's.
    assert "1000 files read" in new.run("scrub_storage", "--all")
    assert new.ask(OWNED_BY_OTHERS) == 0
    assert new.ask("SELECT has_table_privilege('medimaging_app', 'records_study', 'UPDATE')")
    assert not new.ask("SELECT has_table_privilege('medimaging_app', 'records_study', 'DELETE')")
    assert not new.ask(MAY_WRITE_TO_THE_TRAIL)
    assert new.ask("SELECT count(*) FROM pg_trigger WHERE tgfoid = 'refuse_change()'::regprocedure")
