"""Where images are kept and come in: written, read, removed, with room to spare."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from medimaging.doctor.findings import Finding, error, first_line, ok, warning
from records.errors import StoreUnavailable
from records.files.spool import measure_room

CONTENT = b"written by manage.py doctor, and removed by it"
CONNECT_S = 4
READ_S = 5
FEW_INODES = 0.02
BUCKET_FAULTS = {
    "404": ("bucket_missing", "There is no such bucket.", "Make it, or correct IMAGES_S3_BUCKET."),
    "403": (
        "bucket_forbidden",
        "The key may not use the bucket.",
        "Allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket.",
    ),
}


def examine() -> Iterator[Finding]:
    """Look at the store, then at the spool on the local disk."""
    if "bucket_name" in settings.STORAGES["images"]["OPTIONS"]:
        yield from _bucket()
    else:
        yield from _directory()
    yield from _spool()


def _directory() -> Iterator[Finding]:
    store = _own_store()
    place = Path(store.location)
    if not place.is_dir():
        yield error(
            "store_missing",
            f"The directory of images, {place}, isn't there.",
            "Mount its volume. On a new installation the first start makes it.",
        )
        return
    try:
        yield from _round_trip(store)
    except (OSError, StoreUnavailable) as failure:
        yield error(
            "store_unavailable",
            f"The directory of images can't be used: {first_line(failure)}.",
            f"See that {place} is mounted, and belongs to user {os.geteuid()}.",
        )


def _bucket() -> Iterator[Finding]:
    store = _own_store()
    timeouts = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    store.client_config = store.client_config.merge(timeouts)
    try:
        client = store.connection.meta.client
        client.head_bucket(Bucket=store.bucket_name)
        yield ok("store_reached", "The bucket answers.")
        yield from _round_trip(store)
        yield from _conditional_put(store, client)
    except ClientError as failure:
        status = str(failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        code = failure.response.get("Error", {}).get("Code", status)
        other = (
            "store_refuses",
            f"The S3 service refuses: {code}.",
            "Look into its own log.",
        )
        yield error(*BUCKET_FAULTS.get(status, other))
    except (BotoCoreError, OSError, StoreUnavailable) as failure:
        yield error(
            "store_unavailable",
            f"The S3 service can't be reached: {first_line(failure)}.",
            "Correct IMAGES_S3_ENDPOINT, and give this container a network that leads there.",
        )


def _round_trip(store: Any) -> Iterator[Finding]:
    name = store.save(_name(), ContentFile(CONTENT))
    try:
        with store.open(name) as stream:
            is_same = stream.read() == CONTENT
    finally:
        store.delete(name)
    if not is_same:
        yield error(
            "store_changes",
            "What was written to the store was read back as something else.",
            "Take nothing in until the disk or the service has been looked at.",
        )
    elif store.exists(name):
        yield error(
            "store_keeps",
            "What was removed from the store is still there.",
            "Allow the product to delete: retention depends on it.",
        )
    else:
        yield ok("store_works", "The store can be written, read and deleted from.")


def _conditional_put(store: Any, client: Any) -> Iterator[Finding]:
    """Ask twice for one name on condition that it is free: the second has to be refused."""
    key = {"Bucket": store.bucket_name, "Key": store._normalize_name(_name())}
    try:
        client.put_object(**key, Body=CONTENT, IfNoneMatch="*")
        client.put_object(**key, Body=CONTENT, IfNoneMatch="*")
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "PreconditionFailed":
            raise
        yield ok("store_writes_once", "The S3 service refuses to write a name twice.")
    else:
        yield warning(
            "store_writes_twice",
            "The S3 service ignores `If-None-Match`: two senders may write one name.",
            "The same bytes are written twice, and nothing is lost; a newer release may know it.",
        )
    finally:
        client.delete_object(**key)


def _spool() -> Iterator[Finding]:
    spool = Path(settings.INTAKE_SPOOL_DIR)
    if not spool.is_dir():
        # The first file that comes in makes it.
        return
    probe = spool / f"doctor-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(CONTENT)
        probe.unlink()
    except OSError as failure:
        yield error(
            "spool_unusable",
            f"Nothing can be taken in through {spool}: {failure.strerror}.",
            f"Let user {os.geteuid()} write there.",
        )
        return
    yield from _disk(spool)


def _disk(spool: Path) -> Iterator[Finding]:
    room, disk = measure_room(), os.statvfs(spool)
    free = f"{room.free // 1024**2} MiB of {room.total // 1024**2} MiB are free"
    if room.is_low:
        yield error(
            "storage_low",
            f"The disk is nearly full: {free}, and nothing is taken in.",
            "Make room, or enlarge the disk of MEDIMAGING_DATA_DIR.",
        )
    else:
        yield ok("disk_room", f"There is room for images: {free}.")
    if disk.f_files and disk.f_favail < FEW_INODES * disk.f_files:
        yield error(
            "inodes_low",
            f"The disk has room for {disk.f_favail} more files only.",
            "Make a file system with more inodes.",
        )
    data = shutil.disk_usage(settings.DATA_DIR)
    if data.free < room.least and data.total != room.total:
        yield warning(
            "data_disk_low",
            f"The disk of {settings.DATA_DIR} has {data.free // 1024**2} MiB left.",
            "Make room: exports, logs and an embedded database lie there.",
        )


def _own_store() -> Any:
    """A store of this examination alone: its timeouts are nobody else's."""
    chosen = settings.STORAGES["images"]
    store: Storage = import_string(chosen["BACKEND"])(**chosen["OPTIONS"])
    return store


def _name() -> str:
    """A name that is made from no content: no walk through the store takes it for an image."""
    return f"doctor/{uuid.uuid4().hex}"
