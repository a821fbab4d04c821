"""What stands in a restore's way, and what comes back by it."""

import contextlib
import json
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from medimaging import addresses
from medimaging.backup.errors import StoreAway
from medimaging.backup.making import make_backup
from medimaging.backup.places import set_up_store
from records.errors import StoreForeign
from records.files.stores import check_store
from records.models import Instance
from tests.backup.installations import Installation, empty_installation, fill, hashes_below
from tests.installation import DATA_DIR, TEST_DATABASE, as_superuser


@pytest.fixture
def saved(local_store: Path, backups: Path) -> list[Instance]:
    """Five studies in a backup, and nobody connected."""
    instances = fill(5)
    make_backup(place=backups)
    connections.close_all()
    return instances


def test_an_installation_in_use_is_replaced_only_when_asked(
    saved, backups: Path, new: Installation, local_store: Path
) -> None:
    new.run("restore", str(backups))
    new.ask("UPDATE records_study SET body_part = 'HEAD'")
    damaged = new.images / saved[0].file.name
    damaged.write_bytes(b"other bytes")
    later = new.images / "ff" / "ff" / f"{'f' * 64}.dcm"
    later.parent.mkdir(parents=True, exist_ok=True)
    later.write_bytes(b"came since")

    refused = new.run("restore", str(backups), code=1)
    replaced = new.run("restore", str(backups), "--replace")

    assert "5 rows in records_study" in refused
    assert "[installation_not_empty]" in refused
    assert "4 were there already" in replaced
    assert new.ask("SELECT count(*) FROM records_study WHERE body_part = 'HEAD'") == 0
    assert later.exists()
    later.unlink()
    assert hashes_below(new.images) == hashes_below(local_store)


def test_another_program_that_is_connected_is_named(saved, backups: Path) -> None:
    host = str(addresses.postgres_socket_dir(DATA_DIR))
    # What threads of other tests have left open isn't this test's.
    connections.close_all()
    with as_superuser() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
            [addresses.APP],
        )
    web = psycopg2.connect(host=host, user=addresses.APP, dbname=TEST_DATABASE)

    with contextlib.closing(web), pytest.raises(CommandError, match="as medimaging_app"):
        call_command("restore", str(backups), "--replace")

    assert Instance.objects.count() == 5
    with pytest.raises(CommandError, match=r"\[installation_not_empty\]"):
        call_command("restore", str(backups))  # its own connections it closes itself


def test_a_newer_releases_backup_is_refused(saved, backups: Path) -> None:
    path = next(backups.glob("generations/*/manifest.json"))
    manifest = json.loads(path.read_text())
    manifest["migrations"].append("records.9999_from_tomorrow")
    path.write_text(json.dumps(manifest | {"release": "9.9.0"}))

    with pytest.raises(CommandError, match=r"Install release 9\.9\.0 .* \[release_older\]") as said:
        call_command("restore", str(backups), "--replace")

    assert "records.9999_from_tomorrow" in str(said.value)
    assert Instance.objects.count() == 5


def test_another_installations_images_are_taken_over_only_when_asked(saved) -> None:
    with pytest.raises(StoreAway, match="another installation's"):
        set_up_store(uuid4(), replace=False)

    set_up_store(uuid4(), replace=True)
    with pytest.raises(StoreForeign):
        check_store()


def test_it_comes_back_from_a_bucket_into_another(
    s3_store: dict[str, str], backups: Path, tmp_path: Path
) -> None:
    fill(20)
    first, second = (make_backup(place=backups) for _ in range(2))
    connections.close_all()
    with empty_installation(tmp_path / "new", "new_medimaging", **s3_store) as new:
        told = new.run("restore", str(backups))
        scrubbed = new.run("scrub_storage", "--all")

    assert (first.copied, second.copied) == (20, 0)
    assert "0 were there already" in told
    assert "20 files read" in scrubbed
    assert "0 damaged" in scrubbed


def test_a_file_that_the_backup_has_lost_keeps_nothing_else_away(
    saved, backups: Path, new: Installation, local_store: Path
) -> None:
    held = backups / "files" / saved[0].sha256[:2] / saved[0].sha256[2:4] / saved[0].sha256
    held.write_bytes(b"rotten")
    new.images.mkdir(parents=True)
    (new.images / "store-id.txt").write_text(f"{uuid4()}\n")  # of a product that was started once

    said = new.run("restore", str(backups), code=1)

    assert str(held) in said
    assert "[files_lacking]" in said
    assert "0 were there already" in said
    lost = {saved[0].file.name}
    assert hashes_below(new.images).keys() == hashes_below(local_store).keys() - lost
    assert new.ask("SELECT count(*) FROM records_study") == 5
    assert not (new.data_dir / "restore-unfinished.json").exists()
