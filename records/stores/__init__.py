"""Where the bytes of images lie: a directory or a bucket, named by content and written once."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from django.core.files import File
from django.core.files.storage import storages

CONTENT_NAME = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})\.dcm")
"""What files in the store are called; whatever else lies beside them is none of its business."""

PREFIXES = tuple(f"{number:02x}" for number in range(256))
"""The store in 256 slices of about the same size, each of which can be walked by itself."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as a walk through the store finds it."""

    name: str
    size_bytes: int
    modified_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Spooled:
    """A temporary file with what was learnt while it was written."""

    path: Path
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """What it is called in the store."""
        return content_name(self.sha256)


class WriteOnceStore(Protocol):
    """What a Django storage has to offer besides its own methods to hold images."""

    def add(self, files: Sequence[Spooled]) -> None:
        """Put files under their names, durably; what is there already is left as it is.

        Raises ContentMismatch when other bytes lie there, and StoreUnavailable.
        """

    def open(self, name: str, mode: str = "rb") -> File:
        """Open a file for reading; raises FileNotFoundError."""

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the files whose names are made from content and begin with one of PREFIXES."""

    def delete(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""


def image_store() -> WriteOnceStore:
    """The store that the settings name."""
    return cast(WriteOnceStore, storages["images"])


def content_name(sha256: str) -> str:
    """What a file of this content is called."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}.dcm"


def content_of(name: str) -> str | None:
    """The SHA-256 that a name states, or None for a name that isn't made from content."""
    match = CONTENT_NAME.fullmatch(name)
    return match[3] if match else None
