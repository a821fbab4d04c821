"""Where bytes lie: both kinds of store do the same, and the S3 one on a real HTTP service."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db.transaction import TransactionManagementError

from records.errors import StorageLow, StoreUnavailable
from records.files.spool import check_room, publish, spooled
from records.files.stores import DAMAGED, MARKER, Spooled, content_name, content_of, image_store
from records.models import Instance
from tests.dicom.files import make_dicom

CONTENT = b"some bytes of an image"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BOTH = pytest.mark.parametrize("store", ["local", "s3"], indirect=True)

pytestmark = pytest.mark.django_db


def keep(content: bytes = CONTENT) -> str:
    with spooled(io.BytesIO(content), limit=1_000_000) as file:
        publish([file])
        return file.name


@BOTH
def test_publish_keeps_the_bytes_under_their_hash(store, settings):
    name = keep()

    assert name == f"{SHA256[:2]}/{SHA256[2:4]}/{SHA256}.dcm"
    assert content_of(name) == SHA256
    with store.open(name) as stream:
        assert stream.read() == CONTENT
    assert list(Path(settings.INTAKE_SPOOL_DIR).iterdir()) == []


@BOTH
def test_publish_leaves_the_file_alone_when_the_bytes_are_there(store):
    before = store.get_modified_time(keep())

    assert store.get_modified_time(keep()) == before


@BOTH
@pytest.mark.parametrize("other", [b"SOME BYTES of an image", b"shorter"], ids=["bytes", "size"])
def test_publish_moves_a_damaged_copy_aside_when_other_bytes_lie_there(store, other):
    name = content_name(SHA256)
    store.save(name, io.BytesIO(other))

    keep()

    with store.open(name) as stream:
        assert stream.read() == CONTENT
    _, (kept,) = store.listdir(DAMAGED)
    with store.open(f"{DAMAGED}/{kept}") as stream:
        assert stream.read() == other
    assert kept.startswith(SHA256)


@BOTH
def test_publish_by_many_at_once_keeps_one_copy(store, tmp_path):
    """Straight at the store: what two senders of the same bytes do in the same moment."""
    paths = [tmp_path / str(number) for number in range(8)]
    failures = []
    start = threading.Barrier(len(paths))

    def add(path: Path) -> None:
        path.write_bytes(CONTENT)
        start.wait()
        try:
            store.add([Spooled(path, SHA256, len(CONTENT))])
        except Exception as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)

    threads = [threading.Thread(target=add, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert [file.name for file in image_store().walk(SHA256[:2])] == [content_name(SHA256)]


@BOTH
def test_walk_yields_only_files_named_by_content_below_its_prefix(store):
    name = keep()
    store.save(f"{SHA256[:2]}/notes.txt", io.BytesIO(b"x"))
    store.save("somewhere/else.dcm", io.BytesIO(b"x"))

    (found,) = image_store().walk(SHA256[:2])

    assert (found.name, found.size_bytes) == (name, len(CONTENT))
    assert found.modified_at == store.get_modified_time(name)
    assert list(image_store().walk("ff" if SHA256[:2] != "ff" else "00")) == []


def test_publish_needs_the_transaction_of_the_row(local_store, transactional_db):
    with pytest.raises(TransactionManagementError):
        keep()


@pytest.fixture
def flushed(monkeypatch) -> list[Path]:
    """What was flushed to the disk, in that order."""
    seen, fsync = [], os.fsync

    def watch(handle: int) -> None:
        seen.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watch)
    return seen


def test_publish_makes_sure_of_a_file_that_another_has_only_just_put_there(local_store, flushed):
    target = Path(local_store.path(keep()))
    flushed.clear()

    keep()

    assert target.parent in flushed


def test_publish_flushes_file_and_every_new_directory_before_it_returns(local_store, flushed):
    name = keep()

    target = Path(local_store.path(name))
    renamed = flushed.index(target.parent)
    spool_file = next(
        path for path in flushed if path.parent.name == "incoming" and path.suffix == ""
    )
    assert flushed.index(spool_file) < renamed
    assert {target.parents[1], target.parents[2]} <= set(flushed[:renamed])


def test_s3_object_carries_its_checksum_and_is_encrypted(s3_store, bucket):
    name = keep()

    held = bucket.meta.client.head_object(
        Bucket=bucket.name, Key=f"hospital/{name}", ChecksumMode="ENABLED"
    )
    assert held["ServerSideEncryption"] == "AES256"
    assert held["ContentType"] == "application/dicom"
    assert held["ChecksumSHA256"]


def test_s3_object_is_read_back_when_the_service_keeps_no_checksum_of_it(s3_store, bucket):
    key = f"hospital/{content_name(SHA256)}"
    bucket.put_object(Key=key, Body=CONTENT)
    held = bucket.meta.client.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED")
    assert "ChecksumSHA256" not in held

    assert keep() == content_name(SHA256)


def test_intake_works_end_to_end_on_s3(s3_store, bucket, send_one, monkeypatch):
    content = make_dicom()

    file = send_one(content)

    assert file.verdict == "stored"
    instance = Instance.objects.get()
    names = {instance.file.name, MARKER}
    assert {entry.key for entry in bucket.objects.all()} == {f"hospital/{name}" for name in names}
    with instance.file.open("rb") as stream:
        assert stream.read() == content
    assert send_one(content).verdict == "duplicate"


def test_intake_says_so_when_s3_does_not_answer(s3_store, bucket, send_one):
    bucket.objects.all().delete()
    bucket.delete()

    with pytest.raises(StoreUnavailable):
        send_one(make_dicom())

    assert Instance.objects.count() == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("INTAKE_MIN_FREE_BYTES", 1 << 60), ("INTAKE_MIN_FREE_PERCENT", 101)],
)
def test_check_room_refuses_before_the_disk_is_full(settings, setting, value):
    check_room()
    setattr(settings, setting, value)

    with pytest.raises(StorageLow):
        check_room()


def test_spooled_stops_midway_when_room_runs_out(local_store, settings):
    class Filling:
        """A source that uses up the room while it is read."""

        def read(self, size: int = -1, /) -> bytes:
            settings.INTAKE_MIN_FREE_BYTES = 1 << 60
            return b"x" * 1024

    with pytest.raises(StorageLow), spooled(Filling(), limit=1_000_000):
        pass

    assert list(Path(settings.INTAKE_SPOOL_DIR).iterdir()) == []


def settings_with(**environment: str) -> dict[str, Any]:
    code = (
        "import json; from django.conf import settings\n"
        "print(json.dumps(settings.STORAGES['images'], default=str))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMAGES_S3")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_settings_choose_the_bucket_when_one_is_named():
    assert settings_with()["BACKEND"] == "records.files.stores.local.LocalStore"

    found = settings_with(
        IMAGES_S3_BUCKET="images",
        IMAGES_S3_ENDPOINT="https://s3.hospital.example",
        IMAGES_S3_ACCESS_KEY="key",
        IMAGES_S3_SECRET_KEY="secret",
        IMAGES_S3_ENCRYPTION="aws:kms",
        IMAGES_S3_KMS_KEY="alias/images",
    )

    assert found["BACKEND"] == "records.files.stores.s3.S3Store"
    options = found["OPTIONS"]
    assert options["endpoint_url"] == "https://s3.hospital.example"
    assert (options["access_key"], options["secret_key"]) == ("key", "secret")
    assert options["object_parameters"] == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/images",
    }
