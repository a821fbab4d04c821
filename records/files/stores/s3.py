"""Images in an S3-compatible bucket: put on condition that the name is free, then verified."""

import base64
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from records.errors import ContentMismatch, StoreUnavailable
from records.files.stores.files import (
    DAMAGED,
    MARKER,
    Alive,
    Found,
    Listed,
    Spooled,
    content_of,
)

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1024 * 1024
CONNECT_SECONDS = 5
READ_SECONDS = 15
"""A service that says nothing for so long has stalled, however large the file is."""
ATTEMPTS = 3
"""Of one call, by botocore; and of one put while somebody else is putting the same name."""
PAUSE_SECONDS = 0.25
GONE = frozenset({"404", "NoSuchKey", "NotFound"})
IF_FREE: Mapping[str, str] = {"IfNoneMatch": "*"}
TAKEN = "PreconditionFailed"
BEING_TAKEN = "ConditionalRequestConflict"


class S3Store(S3Storage):
    """A bucket whose names are never overwritten.

    `If-None-Match: *` has the service itself refuse a second put, and the checksum has it refuse
    bytes that were damaged on the way. What the service then says of the object is compared with
    what was sent; where it keeps no checksum, the object is read back.
    """

    client_config: Any
    _askers: dict[float, Any]

    def __init__(self, **options: Any) -> None:
        """Give calls that hang an end."""
        super().__init__(**options)
        self._askers = {}
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
                if not self._is_as_sent(file):
                    self._replace(file)

    def within(self, work: Callable[[Alive], Found], *, seconds: float) -> Found:
        """Do it here: each call of the service ends by itself (READ_SECONDS)."""
        with _service_errors():
            return work(lambda: None)

    def size_of(self, name: str) -> int | None:
        """Ask the service for the head of an object."""
        with _service_errors():
            try:
                held = self._client.head_object(Bucket=self.bucket_name, Key=self._key(name))
            except ClientError as error:
                if _code_of(error) in GONE:
                    return None
                raise
        return int(held["ContentLength"])

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects below one of the 256 prefixes, a page at a time."""
        return self._list(f"{self._key(prefix)}/")

    def delete(self, name: str) -> None:
        """Remove an object."""
        with _service_errors():
            super().delete(name)

    def _save(self, name: str, content: Any) -> str:
        with _service_errors():
            return str(super()._save(name, content))

    def read_marker(self, *, seconds: float) -> str | None:
        """Get it, once and within so many seconds. Of a missing bucket there is none to be had."""
        with _service_errors():
            try:
                held = self._asker(seconds).get_object(
                    Bucket=self.bucket_name, Key=self._key(MARKER)
                )
                return str(held["Body"].read().decode("ascii", "replace"))
            except ClientError as error:
                if _code_of(error) == "NoSuchKey":
                    return None
                raise

    def write_marker(self, text: str) -> None:
        """Put it."""
        with _service_errors():
            self._client.put_object(
                Bucket=self.bucket_name,
                Key=self._key(MARKER),
                Body=text.encode("ascii"),
                ContentType="text/plain",
                **self.get_object_parameters(MARKER),
            )

    def is_empty(self) -> bool:
        """Look through all of the bucket that is ours, up to the first file."""
        return next(self._list(self.location), None) is None

    def _list(self, beginning: str) -> Iterator[Listed]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=beginning
        )
        with _service_errors():
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self.location).lstrip("/")
                    if content_of(name) is not None:
                        yield Listed(name, found["Size"], found["LastModified"])

    def _asker(self, seconds: float) -> Any:
        """A client for questions that are asked once and answered at once, or not."""
        found = self._askers.get(seconds)
        if found is None:
            quick = Config(
                connect_timeout=seconds / 2,
                read_timeout=seconds / 2,
                retries={"mode": "standard", "total_max_attempts": 1},
            )
            found = self._create_session().client(
                "s3",
                region_name=self.region_name,
                use_ssl=self.use_ssl,
                endpoint_url=self.endpoint_url,
                config=self.client_config.merge(quick),
                verify=self.verify,
            )
            self._askers[seconds] = found
        return found

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _key(self, name: str) -> str:
        return str(self._normalize_name(name))

    def _put(self, file: Spooled, condition: Mapping[str, str] = IF_FREE) -> None:
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
                        **condition,
                        **self.get_object_parameters(file.name),
                    )
            except ClientError as error:
                code = _code_of(error)
                if code == TAKEN:
                    return
                if code != BEING_TAKEN or attempt == ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _is_as_sent(self, file: Spooled) -> bool:
        held = self._client.head_object(
            Bucket=self.bucket_name, Key=self._key(file.name), ChecksumMode="ENABLED"
        )
        stated = held.get("ChecksumSHA256") or _checksum(self._read_back(file.name))
        return held["ContentLength"] == file.size and bool(stated == _checksum(file.sha256))

    def _replace(self, file: Spooled) -> None:
        """Keep the damaged object that lies under a name, and put the right one in its place.

        Whoever does the same at that moment puts the same bytes there. Raises ContentMismatch where
        they aren't there afterwards.
        """
        kept = f"{DAMAGED}/{file.sha256}.{time.time_ns()}"
        self._client.copy_object(
            Bucket=self.bucket_name,
            Key=self._key(kept),
            CopySource={"Bucket": self.bucket_name, "Key": self._key(file.name)},
            **self.get_object_parameters(kept),
        )
        logger.error("A damaged object was moved to %s", kept)
        self._put(file, condition={})
        if not self._is_as_sent(file):
            raise ContentMismatch(sha256=file.sha256)

    def _read_back(self, name: str) -> str:
        digest = hashlib.sha256()
        held = self._client.get_object(Bucket=self.bucket_name, Key=self._key(name))
        for chunk in held["Body"].iter_chunks(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def _checksum(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _code_of(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


@contextmanager
def _service_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise StoreUnavailable(reason=f"the service said {_code_of(error)}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreUnavailable(reason=type(error).__name__) from error
