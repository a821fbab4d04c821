"""Sums of what left by the minute, made into events."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEvent, ReadTally

STAMP = (
    "action",
    "actor_kind",
    "actor_id",
    "actor_name",
    "token_id",
    "session_id",
    "responsible_id",
    "responsible_name",
    "source_address",
    "user_agent",
    "view",
    "target_type",
    "target_id",
    "study_id",
    "patient_id",
    "department_id",
)
"""The columns of an event that a sum is kept by: who, from where, through what, of which study."""
AT_ONCE = 500


def tell_tallies(*, now: dt.datetime | None = None) -> int:
    """Tell the sums of the minutes that are over, one event each; return how many.

    Nobody's request: the event is of whoever took what is summed. Safe to run twice at once: a
    row is locked, and goes in the transaction that writes its event.
    """
    minute = (now or timezone.now()).replace(second=0, microsecond=0)
    told = 0
    while count := _tell_some(before=minute):
        told += count
    return told


@transaction.atomic
def _tell_some(*, before: dt.datetime) -> int:
    waiting = ReadTally.objects.filter(minute__lt=before).select_for_update(skip_locked=True)
    rows = list(waiting[:AT_ONCE])
    if rows:
        # Past `record_events`: it isn't what the request in hand did.
        AuditEvent.objects.append([_event_of(row) for row in rows])
        ReadTally.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _event_of(row: ReadTally) -> AuditEvent:
    details = {
        "minute": row.minute.isoformat(),
        "answers": row.answers,
        "frames": row.frames,
        "bytes": row.size_bytes,
    }
    return AuditEvent(**row.stamp, details=details)
