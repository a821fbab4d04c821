"""Images in an S3-compatible bucket: put on condition that the name is free, then verified."""

import base64
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from records.errors import ContentMismatch, StoreUnavailable
from records.stores import Listed, Spooled, content_of

CHUNK_BYTES = 1024 * 1024
CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 4
"""Of one call, by botocore; and of one put while somebody else is putting the same name."""
PAUSE_SECONDS = 0.25
TAKEN = "PreconditionFailed"
BEING_TAKEN = "ConditionalRequestConflict"


class S3Store(S3Storage):
    """A bucket whose names are never overwritten.

    `If-None-Match: *` has the service itself refuse a second put, and the checksum has it refuse
    bytes that were damaged on the way. What the service then says of the object is compared with
    what was sent; where it keeps no checksum, the object is read back.
    """

    client_config: Any

    def __init__(self, **options: Any) -> None:
        """Give calls that hang an end."""
        super().__init__(**options)
        self.client_config = self.client_config.merge(
            Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            )
        )

    def add(self, files: Sequence[Spooled]) -> None:
        """Put the files and verify each. Raises ContentMismatch and StoreUnavailable."""
        with _service_errors():
            for file in files:
                self._put(file)
                self._verify(file)

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects below one of the 256 prefixes, a page at a time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=f"{self._key(prefix)}/"
        )
        with _service_errors():
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self.location).lstrip("/")
                    if content_of(name) is not None:
                        yield Listed(name, found["Size"], found["LastModified"])

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _key(self, name: str) -> str:
        return str(self._normalize_name(name))

    def _put(self, file: Spooled) -> None:
        for attempt in range(ATTEMPTS):
            try:
                with file.path.open("rb") as body:
                    self._client.put_object(
                        Bucket=self.bucket_name,
                        Key=self._key(file.name),
                        Body=body,
                        ContentType="application/dicom",
                        ChecksumAlgorithm="SHA256",
                        ChecksumSHA256=_checksum(file.sha256),
                        IfNoneMatch="*",
                        **self.get_object_parameters(file.name),
                    )
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == TAKEN:
                    return
                if code != BEING_TAKEN or attempt == ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _verify(self, file: Spooled) -> None:
        held = self._client.head_object(
            Bucket=self.bucket_name, Key=self._key(file.name), ChecksumMode="ENABLED"
        )
        stated = held.get("ChecksumSHA256") or _checksum(self._read_back(file.name))
        if held["ContentLength"] != file.size or stated != _checksum(file.sha256):
            raise ContentMismatch(sha256=file.sha256)

    def _read_back(self, name: str) -> str:
        digest = hashlib.sha256()
        held = self._client.get_object(Bucket=self.bucket_name, Key=self._key(name))
        for chunk in held["Body"].iter_chunks(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def _checksum(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


@contextmanager
def _service_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailable from error
