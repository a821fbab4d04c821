"""Where the product's files lie that a backup takes: the store, the exports, the bundles."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError
from django.apps import apps
from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.db.models import FileField
from psycopg2 import extensions, sql

from medimaging.backup.errors import StoreAway
from records.errors import ContentMismatch, StoreUnavailable
from records.files.spool import CHUNK_BYTES, Readable
from records.files.stores import Spooled, check_store, content_of, image_store
from records.files.stores.local import make_private
from records.files.stores.presence import ASK_SECONDS

IMAGES = "images"
FILES = "files"
BUNDLES = "bundles"

AWAY = (OSError, BotoCoreError, ClientError, StoreUnavailable, ContentMismatch)
HASH = re.compile(r"[0-9a-f]{64}")
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a backup has to hold."""

    place: str
    name: str

    @property
    def expected(self) -> str:
        """The hash that the file's own name states, where it does."""
        stem = Path(self.name).stem
        return stem if HASH.fullmatch(stem) else ""


def wanted_files(connection: extensions.connection) -> Iterator[Wanted]:
    """Yield what the rows name that `connection` sees, each once, and the bundles that are there.

    Every file field of every model counts by itself, so that no model can be forgotten.
    """
    parts = [
        sql.SQL(
            "SELECT {place} AS place, {column} AS name FROM {table} WHERE {column} <> ''"
        ).format(
            place=sql.Literal(place), table=sql.Identifier(table), column=sql.Identifier(column)
        )
        for place, table, column in _file_columns()
    ]
    with connection.cursor("wanted_files") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(sql.SQL(" UNION ").join(parts) + sql.SQL(" ORDER BY 1, 2"))
        for place, name in cursor:
            yield Wanted(place, name)
    yield from (Wanted(BUNDLES, name) for name in _bundle_files())


class _Source:
    """A file that is read; what breaks meanwhile is the store's fault."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end. Raises StoreAway."""
        with _store_errors():
            return cast(bytes, self._stream.read(size))


@contextlib.contextmanager
def open_wanted(wanted: Wanted) -> Iterator[Readable]:
    """Open a file for reading. Raises FileNotFoundError and StoreAway."""
    with _store_errors():
        if wanted.place == BUNDLES:
            stream: Any = (bundle_store() / wanted.name).open("rb")
        else:
            storage = cast(Any, image_store() if wanted.place == IMAGES else storages["default"])
            stream = storage.open(wanted.name, "rb")
    with contextlib.closing(stream):
        yield _Source(stream)


def bundle_store() -> Path:
    """The directory of the bundles that are in use, by their digests."""
    return Path(settings.BUNDLE_STORE_DIR)


def put_files(place: str, files: Sequence[tuple[str, Spooled]]) -> None:
    """Put files that were copied to the spool where they belong, replacing what is damaged there.

    Raises StoreAway.
    """
    with _store_errors():
        PUT[place](files)


def lies_whole(place: str, name: str, *, sha256: str) -> bool:
    """Tell whether this very file is there already. Raises StoreAway."""
    try:
        with open_wanted(Wanted(place, name)) as source:
            digest = hashlib.sha256()
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == sha256


def batched(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Cut what comes into lists of `size`."""
    while batch := list(islice(items, size)):
        yield batch


def scratch_directory() -> Path:
    """Where files wait that are about to be put; on the disk of a store that is a directory."""
    directory = Path(settings.INTAKE_SPOOL_DIR)
    make_private(directory)
    return directory


def set_up_store(store_id: UUID, *, replace: bool) -> None:
    """Give the store the marker that the database in the backup knows.

    Raises StoreAway, also where it has another one that shall not be replaced.
    """
    store = image_store()
    text = f"{store_id}\n"
    with _store_errors():
        found = store.read_marker(seconds=ASK_SECONDS)
        is_other = found is not None and found.strip() != str(store_id)
        if is_other and not replace and not store.is_empty():
            raise StoreAway(reason="it is another installation's; --replace takes it over")
        if found != text:
            store.write_marker(text)


def check_images() -> None:
    """Make sure that the store is there, and this database's. Raises StoreAway."""
    with _store_errors():
        check_store()


def _put_images(files: Sequence[tuple[str, Spooled]]) -> None:
    store = image_store()
    for name, file in files:
        if content_of(name) != file.sha256:
            raise ContentMismatch(sha256=file.sha256)
    store.add([file for _, file in files])


def _put_files(files: Sequence[tuple[str, Spooled]]) -> None:
    storage = storages["default"]
    for name, file in files:
        storage.delete(name)
        with file.path.open("rb") as stream:
            storage.save(name, File(stream))


def _put_bundles(files: Sequence[tuple[str, Spooled]]) -> None:
    top = bundle_store().resolve()
    for name, file in files:
        target = (top / name).resolve()
        if not target.is_relative_to(top):
            raise ContentMismatch(sha256=file.sha256)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.path.replace(target)


PUT: dict[str, Callable[[Sequence[tuple[str, Spooled]]], None]] = {
    IMAGES: _put_images,
    FILES: _put_files,
    BUNDLES: _put_bundles,
}


def _file_columns() -> Iterator[tuple[str, str, str]]:
    """Place, table and column of every file field."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, FileField) and field.column:
                called = getattr(field, "_storage_callable", None)
                place = IMAGES if getattr(called, "__name__", "") == "image_storage" else FILES
                yield place, model._meta.db_table, field.column


def _bundle_files() -> Iterator[str]:
    top = bundle_store()
    for path in sorted(top.glob("*/**/*")):
        # A folder that is being put together has another name than its digest.
        if HASH.fullmatch(path.relative_to(top).parts[0]) and path.is_file():
            yield path.relative_to(top).as_posix()


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except AWAY as error:
        said = error.reason if isinstance(error, StoreUnavailable) else str(error)
        reason = (said.splitlines() or [type(error).__name__])[0][:200]
        raise StoreAway(reason=reason) from error
