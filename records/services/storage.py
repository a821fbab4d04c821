"""Looking after stored files: read again and compared, and removed once nobody points to them."""

import datetime as dt
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import FileField
from django.utils import timezone

from accounts.audit import record_event
from accounts.choices import Outcome
from accounts.models import User
from records.choices import Action, Damage
from records.errors import StoredFileDamaged, StoredFileMissing
from records.files.open import find_digest
from records.files.spool import measure_room
from records.files.stores import (
    PREFIXES,
    Age,
    Listed,
    check_store,
    compare_ages,
    content_of,
    image_store,
)
from records.files.stores.locks import own_content
from records.models import Instance, QuarantinedFile, Study, UnreferencedFile
from records.models.imaging import image_storage
from records.querysets import InstanceQuerySet, QuarantinedFileQuerySet
from records.services.healing import Kept, note_healed

logger = logging.getLogger(__name__)

BATCH = 500
SLICE_SECONDS = 300
"""How long a slice of the store is the one that is walked: 256 of them are under a day."""
REMOVED_AT_ONCE = 1000
DAMAGED_AGAIN = dt.timedelta(hours=1)
"""After which a damaged or missing file is looked at again: somebody may have put it back."""


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a run of the scrubber read and found."""

    checked: int = 0
    size_bytes: int = 0
    damaged: int = 0
    recovered: int = 0


@dataclass(frozen=True, slots=True)
class Swept:
    """What a walk found that no row points to, and what was removed."""

    found: int = 0
    removed: int = 0
    removed_bytes: int = 0


def scrub_storage(
    *, actor: User | None = None, seconds: float | None = None, everything: bool = False
) -> Scrubbed:
    """Read stored files, those longest unread first, and note which are not what they were.

    Stops after `seconds`. Files read within STORAGE_SCRUB_EVERY are passed over, unless
    `everything` is asked for. What is found is noted and never repaired. A run that was asked for,
    or that finds a damaged file whole again, is an event of its own. Raises StoreUnavailable as
    soon as the store is away, of which nothing is noted.
    """
    started = timezone.now()
    since = started if everything else started - settings.STORAGE_SCRUB_EVERY
    ends = time.monotonic() + seconds if seconds is not None else None
    done = Scrubbed()
    for kept in _unchecked(since):
        was_damaged = bool(kept.damage)
        damage = _scrub(kept)
        done = Scrubbed(
            checked=done.checked + 1,
            size_bytes=done.size_bytes + kept.size_bytes,
            damaged=done.damaged + (damage != Damage.NONE),
            recovered=done.recovered + (damage == Damage.NONE and was_damaged),
        )
        if ends is not None and time.monotonic() >= ends:
            break
    if everything or done.recovered:
        _record_check(actor, done)
    return done


def scrub_study(*, study_id: UUID) -> int:
    """Read the files of one study, whose reading failed, and note what is wrong with them.

    Returns how many are damaged or missing. Raises StoreUnavailable.
    """
    found = [_scrub(kept) for kept in _instances().stored().filter(series__study=study_id)]
    return sum(damage != Damage.NONE for damage in found)


def sweep_storage(*, prefixes: Iterable[str] | None = None) -> Swept:
    """Note the files that no row points to, and remove those noted long enough ago.

    Without `prefixes` walks the slice of the store whose turn it is. A file counts from the day on
    which it was found, not by its age: after an older database was restored, nothing is removed
    before somebody could notice. Raises StoreUnavailable.
    """
    check_store()
    for prefix in prefixes or [_prefix_of_the_hour()]:
        for files in _batched(image_store().walk(prefix)):
            _note_unreferenced(files)
    return remove_unreferenced()


def remove_unreferenced() -> Swept:
    """Remove the files whose time has come and that still no row points to.

    None goes while the database is older than the store: its newer rows may come back. Raises
    StoreUnavailable.
    """
    if compare_ages().age == Age.DATABASE_OLDER:
        return Swept(found=UnreferencedFile.objects.count())
    due = list(UnreferencedFile.objects.due(now=timezone.now())[:REMOVED_AT_ONCE])
    removed = [size for row in due if (size := _remove(row)) is not None]
    if removed:
        details = {"removed": len(removed), "size_bytes": sum(removed)}
        record_event(action=Action.STORAGE_SWEPT, actor=None, target_id="images", details=details)
    waiting = UnreferencedFile.objects.count()
    return Swept(found=waiting, removed=len(removed), removed_bytes=sum(removed))


def find_referenced(names: Iterable[str]) -> set[str]:
    """Return those of `names` that any row of any model points to.

    Every file field on the images' storage counts by itself, so that no model can be forgotten.
    """
    names = list(names)
    found: set[str] = set()
    for field in _referring_fields():
        rows = field.model._base_manager.filter(**{f"{field.name}__in": names})
        found.update(rows.values_list(field.name, flat=True))
    return found


def describe_storage() -> dict[str, Any]:
    """Count what is stored, what of it is damaged, what no row points to, and the room left."""
    return {
        **_add_up(_instances().totals(), _quarantined().totals()),
        "unreferenced": UnreferencedFile.objects.totals(),
        "deleted_studies": Study.objects.restorable().count(),
        "studies_past_retention": Study.objects.past_retention().count(),
        "room": measure_room(),
    }


def _add_up(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Totals of both: counts added, of times the first."""
    oldest = [totals.pop("oldest_check_at") for totals in (one, other)]
    counts = {name: one[name] + other[name] for name in one}
    return counts | {"oldest_check_at": min(filter(None, oldest), default=None)}


def _unchecked(since: dt.datetime) -> Iterator[Kept]:
    every: tuple[InstanceQuerySet | QuarantinedFileQuerySet, ...] = (_instances(), _quarantined())
    for rows in every:
        due: Any = rows.unchecked_since(since, damaged_since=timezone.now() - DAMAGED_AGAIN)
        while batch := list(due[:BATCH]):
            yield from batch


def _instances() -> InstanceQuerySet:
    return Instance.with_withheld.select_related("series__study")


def _quarantined() -> QuarantinedFileQuerySet:
    """Those whose bytes no instance has."""
    return QuarantinedFile.objects.held().select_related("submission")


def _scrub(kept: Kept) -> Damage:
    """Read one file and note what was found; the first finding of damage, and of its end, is told.

    What was healed while it was read is left alone.
    """
    damage, found = _look_at(kept)
    rows = _instances() if isinstance(kept, Instance) else _quarantined()
    as_read = rows.stored().filter(pk=kept.pk, sha256=kept.sha256, healed_at=kept.healed_at)
    with transaction.atomic():
        if kept.damage and damage == Damage.NONE:
            if as_read.damaged().exists():
                note_healed(kept)
        elif as_read.update(checked_at=timezone.now(), damage=damage) and damage not in (
            Damage.NONE,
            kept.damage,
        ):
            _record_damage(kept, damage, found)
    return damage


def _look_at(kept: Kept) -> tuple[Damage, str | None]:
    """What the store has of a file, and the hash of that; raises StoreUnavailable."""
    try:
        found = find_digest(kept)
    except StoredFileMissing:
        return Damage.MISSING, None
    except StoredFileDamaged:
        return Damage.ALTERED, None
    return (Damage.NONE if found == kept.sha256 else Damage.ALTERED), found


def _record_damage(kept: Kept, damage: Damage, found: str | None) -> None:
    logger.error("The stored file of %s is %s", kept, damage)
    record_event(
        action=Action.STORAGE_DAMAGED,
        actor=None,
        target=kept,
        **kept.file_owner,
        outcome=Outcome.SERIOUS_FAILURE,
        details={
            "problem": damage.label.lower(),
            "expected_sha256": kept.sha256,
            "found_sha256": found,
        },
    )


def _record_check(actor: User | None, done: Scrubbed) -> None:
    record_event(
        action=Action.STORAGE_CHECKED,
        actor=actor,
        target_id="images",
        outcome=Outcome.SERIOUS_FAILURE if done.damaged else Outcome.SUCCESS,
        details={
            "checked": done.checked,
            "size_bytes": done.size_bytes,
            "damaged": done.damaged,
            "recovered": done.recovered,
        },
    )


def _prefix_of_the_hour() -> str:
    """The slice whose turn it is by the clock, so that no run has to remember the last one."""
    return PREFIXES[int(time.time()) // SLICE_SECONDS % len(PREFIXES)]


def _batched(files: Iterator[Listed]) -> Iterator[list[Listed]]:
    while batch := list(islice(files, BATCH)):
        yield batch


def _note_unreferenced(files: list[Listed]) -> None:
    """Write down which of these no row points to; what was noted wrongly is taken off."""
    names = {file.name for file in files}
    referenced = find_referenced(names)
    UnreferencedFile.objects.filter(name__in=referenced).delete()
    due_at = timezone.now() + settings.STORAGE_ORPHAN_GRACE
    UnreferencedFile.objects.bulk_create(
        (
            UnreferencedFile(name=file.name, size_bytes=file.size_bytes, due_at=due_at)
            for file in files
            if file.name not in referenced
        ),
        ignore_conflicts=True,
    )


def _remove(row: UnreferencedFile) -> int | None:
    """Remove one file unless a row points to it by now or is about to; return its size."""
    content = content_of(row.name) or hashlib.sha256(row.name.encode()).hexdigest()
    with transaction.atomic():
        if not own_content(content):
            return None
        is_referenced = bool(find_referenced([row.name]))
        if not is_referenced:
            image_store().delete(row.name)
        row.delete()
    return None if is_referenced else row.size_bytes


def _referring_fields() -> list[FileField]:
    return [
        field
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, FileField)
        and getattr(field, "_storage_callable", None) is image_storage
    ]
