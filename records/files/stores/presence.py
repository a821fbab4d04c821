"""Whether the store is there, and this database's: asked before a file is called missing.

A marker in the store bears the id that the database knows. A mount point without its volume, a
bucket that doesn't answer and another installation's store are told from a store that lacks a file.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import transaction
from django.utils import timezone

from records.errors import StoreForeign, StoreUnavailable
from records.files.stores.files import MARKER, WriteOnceStore, image_store

logger = logging.getLogger(__name__)

ASK_SECONDS = 0.6
"""In which a store has to answer; one that is only slow is of no use for images either."""
KNOWN_SECONDS = 1.0
"""So long an answer is good for."""
SAMPLE = 20
"""Files whose presence shows that a store without a marker is ours; the newest ones."""


@dataclass(slots=True)
class _Seen:
    """What this process knows: when the store last answered, and what was said of it last."""

    at: float = float("-inf")
    told: str = ""


_seen = _Seen()
_asking = threading.Lock()


def check_store(*, seconds: float = ASK_SECONDS) -> None:
    """Ask the store now. Raises StoreUnavailable, and StoreForeign for another database's.

    The first time of all, a store that is empty or holds this database's files gets its marker.
    """
    try:
        _check(image_store(), seconds)
    except StoreUnavailable as error:
        _seen.at = float("-inf")
        _tell(error)
        raise
    _seen.at = time.monotonic()
    _tell(None)


def is_outage(error: BaseException) -> bool:
    """Whether an error came of the store's being away; of one of the system it is asked now."""
    if not isinstance(error, OSError):
        return isinstance(error, StoreUnavailable)
    try:
        check_store()
    except StoreUnavailable:
        return True
    return False


def ensure_store() -> None:
    """Make sure that the store was there a moment ago; else as `check_store`.

    While somebody asks a store that doesn't answer, nobody else waits for that.
    """
    if _is_known():
        return
    if not _asking.acquire(timeout=2 * ASK_SECONDS):
        raise StoreUnavailable(reason="it doesn't answer")
    try:
        if not _is_known():
            check_store()
    finally:
        _asking.release()


def forget_store() -> None:
    """Ask anew the next time: for whoever puts another store in place."""
    _seen.at, _seen.told = float("-inf"), ""


def adopt_store() -> UUID:
    """Have the store in place be this database's from now on, whatever its marker says.

    For a person to decide. Raises StoreUnavailable.
    """
    store = image_store()
    with transaction.atomic():
        identity = _locked_identity()
        marker = _as_id(store.read_marker(seconds=ASK_SECONDS))
        if marker is None:
            store.write_marker(_text_of(identity.store_id))
        _note_adopted(identity, marker or identity.store_id)
    forget_store()
    return UUID(str(identity.store_id))


def _is_known() -> bool:
    return time.monotonic() - _seen.at < KNOWN_SECONDS


def _check(store: WriteOnceStore, seconds: float) -> None:
    marker = _as_id(store.read_marker(seconds=seconds))
    identity = _identities().first()
    if identity is None or identity.adopted_at is None:
        _set_up(store)
    elif marker is None:
        raise StoreUnavailable(reason=f"no {MARKER} is there, so it is not the store")
    elif marker != identity.store_id:
        raise StoreForeign(reason=f"{MARKER} names {marker} and the database {identity.store_id}")


@transaction.atomic
def _set_up(store: WriteOnceStore) -> None:
    """Give a database its store, the one time that it has none."""
    identity = _locked_identity()
    if identity.adopted_at is not None:
        return
    marker = _as_id(store.read_marker(seconds=ASK_SECONDS))
    names = _sample()
    is_ours = any(store.size_of(name) is not None for name in names)
    if names and not is_ours:
        raise StoreUnavailable(reason="it holds none of the files that the database names")
    if not names and not store.is_empty():
        raise StoreForeign(reason="it holds files, and the database names none")
    if marker is None:
        store.write_marker(_text_of(identity.store_id))
    _note_adopted(identity, marker or identity.store_id)


def _note_adopted(identity: Any, store_id: UUID) -> None:
    identity.store_id, identity.adopted_at = store_id, timezone.now()
    identity.save(update_fields=["store_id", "adopted_at"])
    logger.warning("Store %s is this database's from now on", store_id)


def _sample() -> list[str]:
    """Names of files that should be there; of an old store, whose newest may never have come."""
    rows = apps.get_model("records", "Instance").with_withheld.stored()
    newest = rows.order_by("-created_at").values_list("file", flat=True)[:SAMPLE]
    return [*newest, *rows.order_by("created_at").values_list("file", flat=True)[:SAMPLE]]


def _locked_identity() -> Any:
    rows = _identities()
    rows.bulk_create([rows.model()], ignore_conflicts=True)
    return rows.select_for_update().get()


def _identities() -> Any:
    return apps.get_model("records", "StoreIdentity")._default_manager.all()


def _text_of(store_id: UUID) -> str:
    return f"{store_id}\n"


def _as_id(text: str | None) -> UUID | None:
    """The id in a marker; one that can't be read is as good as none. Raises StoreForeign."""
    if text is None:
        return None
    try:
        return UUID(text.strip())
    except ValueError as error:
        raise StoreForeign(reason=f"{MARKER} holds no id") from error


def _tell(error: StoreUnavailable | None) -> None:
    """Log what is new, once in each process."""
    said = f"{error.code}: {error.reason}" if error else ""
    if said == _seen.told:
        return
    _seen.told = said
    if error:
        logger.error("The store of images can't be used (%s): %s", error.code, error.reason)
    else:
        logger.warning("The store of images is there again")
