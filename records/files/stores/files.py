"""What a store of images is: what lies in it is named by its content."""

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar, cast

from django.core.files import File
from django.core.files.storage import storages

Found = TypeVar("Found")
Alive = Callable[[], None]
"""Says that work goes on."""

CONTENT_NAME = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})\.dcm")
"""What files in the store are called; whatever else lies beside them is none of its business."""

MARKER = "store-id.txt"
"""A file in the store that says which one it is: the bare place of a mount has none."""

DAMAGED = "damaged"
"""Where copies that were found to have other bytes are moved to, for somebody to look at."""

CHUNK_BYTES = 1024 * 1024

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

        Other bytes under such a name are a damaged copy: they are moved to `DAMAGED`, and the files
        take their place. Raises StoreUnavailable, and ContentMismatch where what was put isn't
        there afterwards.
        """

    def open(self, name: str, mode: str = "rb") -> File:
        """Open a file for reading; raises FileNotFoundError."""

    def within(self, work: Callable[[Alive], Found], *, seconds: float) -> Found:
        """Do work with files of the store, and end it when it says nothing for so long.

        Work that goes on calls what it is given now and then. Raises StoreUnavailable where the
        store doesn't answer, and OSError for what is wrong with a file.
        """

    def size_of(self, name: str) -> int | None:
        """How many bytes lie under a name, None where there is nothing; raises StoreUnavailable."""

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the files whose names are made from content and begin with one of PREFIXES.

        Raises StoreUnavailable.
        """

    def delete(self, name: str) -> None:
        """Remove a file; one that is gone already is no error. Raises StoreUnavailable."""

    def read_marker(self, *, seconds: float) -> str | None:
        """What the marker says, None where the place has none; raises StoreUnavailable."""

    def write_marker(self, text: str) -> None:
        """Make the place where need be, and put the marker there, durably: first set-up alone.

        Raises StoreUnavailable.
        """

    def is_empty(self) -> bool:
        """Tell that no file whose name is made from content is there; raises StoreUnavailable."""


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


def digest_of(stream: IO[bytes], alive: Alive) -> str:
    """The SHA-256 of a file from where it stands, as hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
        alive()
    return digest.hexdigest()
