"""Whether database and store are of one age, so that a restore of one side alone is noticed.

Every few minutes both are given the same number, the epoch: first the row, then an empty file in
the store whose name bears it. A backup that came back to one side brings an older one with it.
"""

import contextlib
import logging
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.db import DatabaseError, connections, transaction

from records.errors import StoreUnavailable
from records.files.stores.files import Alive, image_store
from records.files.stores.presence import ASK_SECONDS, check_store

logger = logging.getLogger(__name__)

FOLDER = "epochs"
NAME = re.compile(r"(\d{1,18})")
NEWEST = 5
"""So many of the newest studies have a file looked for."""


class Age(StrEnum):
    """What was found."""

    SAME = "ok"
    DATABASE_OLDER = "database_older_than_store"
    STORE_OLDER = "store_older_than_database"


@dataclass(frozen=True)
class Ages:
    """The epochs of both, None where a side has none yet, and the newest rows without a file."""

    age: Age
    database: int | None
    store: int | None
    missing: int = 0

    @property
    def message(self) -> str:
        """What is wrong, for staff."""
        return MESSAGES[self.age].format(missing=self.missing)

    @property
    def action(self) -> str:
        """What to do."""
        return ACTIONS[self.age]


MESSAGES = {
    Age.SAME: "Database and store are of one age.",
    Age.DATABASE_OLDER: "The database is older than the store of images: it was restored alone. "
    "Files without a record are not removed.",
    Age.STORE_OLDER: "The store of images is older than the database: it was restored alone. "
    "Of the newest studies, {missing} lack a file.",
}
REST = (
    "Where that can't be, accept it: run `manage.py adopt_store`, then `scrub_storage --all`, "
    "which lists what is missing."
)
ACTIONS = {
    Age.SAME: "",
    Age.DATABASE_OLDER: f"Restore the newer database. {REST}",
    Age.STORE_OLDER: f"Restore the newer files. {REST}",
}


@dataclass(slots=True)
class _Told:
    """What this process has said last."""

    age: Age = Age.SAME


_told = _Told()


def compare_ages() -> Ages:
    """Compare both sides. Raises StoreUnavailable."""
    check_store()
    database, store = _epoch_of_database(), _epoch_of_store()
    missing = sum(image_store().size_of(name) is None for name in _newest())
    age = Age.SAME
    if store is not None and store > (database or 0):
        age = Age.DATABASE_OLDER
    # One behind is what a crash between row and file leaves.
    elif (database or 0) > (store or 0) + 1 or missing:
        age = Age.STORE_OLDER
    return Ages(age, database, store, missing)


def renew_epoch() -> Ages:
    """Begin a new epoch on both sides if they are of one age; else leave both as they are.

    Says in the log what is wrong, once in each process. Raises StoreUnavailable.
    """
    found = compare_ages()
    _tell(found)
    if found.age == Age.SAME:
        begin_epoch()
    return found


def begin_epoch() -> int:
    """Have both sides be of one age from now on, whatever they are. Raises StoreUnavailable."""
    check_store()
    with transaction.atomic():
        identity = _identities().select_for_update().get()
        identity.epoch = max(identity.epoch, _epoch_of_store() or 0) + 1
        identity.save(update_fields=["epoch"])
    _write_epoch(identity.epoch)
    return int(identity.epoch)


def announce_store() -> None:
    """Have a process that starts say in the log what is wrong with the store, if anything is."""
    with contextlib.suppress(StoreUnavailable, DatabaseError):
        _tell(compare_ages())
    connections.close_all()


def _tell(found: Ages) -> None:
    if found.age == _told.age:
        return
    _told.age = found.age
    if found.age == Age.SAME:
        logger.warning("Database and store are of one age again")
    else:
        logger.error("%s (%s) %s", found.message, found.age, found.action)


def _epoch_of_database() -> int | None:
    identity = _identities().first()
    return identity.epoch or None if identity else None


def _epoch_of_store() -> int | None:
    names = [int(name) for name in _names() if NAME.fullmatch(name)]
    return max(names, default=None)


def _names() -> list[str]:
    store = image_store()

    def look(alive: Alive) -> list[str]:
        try:
            return list(cast(Storage, store).listdir(FOLDER)[1])
        except FileNotFoundError:
            return []

    with _store_errors():
        return store.within(look, seconds=ASK_SECONDS)


def _write_epoch(epoch: int) -> None:
    """Add the new name before the old ones go: a reader takes the highest."""
    storage = cast(Storage, image_store())
    name = f"{FOLDER}/{epoch}"
    with _store_errors():
        if not storage.exists(name):
            storage.save(name, ContentFile(b""))
        for old in _names():
            if NAME.fullmatch(old) and int(old) < epoch:
                storage.delete(f"{FOLDER}/{old}")


def _newest() -> list[str]:
    """The file of one image of each of the newest studies, unless damage is known."""
    studies = apps.get_model("records", "Study")._base_manager.order_by("-received_at", "-id")
    newest = list(studies.values_list("pk", flat=True)[:NEWEST])
    rows = apps.get_model("records", "Instance").with_withheld.stored().filter(damage="")
    of_each = rows.filter(series__study__in=newest).order_by("series__study_id")
    return list(of_each.distinct("series__study_id").values_list("file", flat=True))


def _identities() -> Any:
    return apps.get_model("records", "StoreIdentity")._default_manager.all()


@contextlib.contextmanager
def _store_errors() -> Any:
    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        raise StoreUnavailable(reason=type(error).__name__) from error
