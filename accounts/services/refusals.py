"""What was refused: told in the trail one by one at first, then counted and told in one event."""

import datetime as dt
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from accounts.actions import AuditAction, registry
from accounts.audit import bind_request_context, current_context, record_event
from accounts.choices import Outcome
from accounts.models import RefusalTally, User
from accounts.services.attempts import network_in_hand

SPAN = dt.timedelta(minutes=1)
LONGEST_SPAN = dt.timedelta(hours=1)
TOLD_APART = 5
"""So many different targets of one caller have an event each, before the rest is counted."""
TARGETS_KEPT = 100
MOST_CALLERS = 100
"""So many strangers have a tally each for a kind of refusal; the others share one."""
OTHERS = "others"


def note_refusal(
    *,
    actor: User | None,
    kind: AuditAction,
    what: str = "",
    target: models.Model | None = None,
    outcome: Outcome = Outcome.MINOR_FAILURE,
    details: dict[str, Any] | None = None,
) -> bool:
    """Record a refusal, or count it; return whether it got an event of its own.

    `what` tells refusals of one kind apart and becomes the event's target: an id, a view's name,
    a keyed hash, never what somebody typed. A caller is a person, or an address (for IPv6 a
    /64). The first few different ones within a minute are events; what follows is
    counted, and comes as one event when the span is over. Who goes on gets longer spans.
    """
    what = str(target.pk) if target is not None else what[:200]
    with transaction.atomic():
        tally = _open_tally(kind=kind, actor=actor)
        if what in tally.told or len(tally.told) >= TOLD_APART:
            tally.count += 1
            if what and what not in tally.targets and len(tally.targets) < TARGETS_KEPT:
                tally.targets.append(what)
            tally.save(update_fields=["count", "targets"])
            return False
        tally.told.append(what)
        tally.save(update_fields=["told"])
        record_event(
            action=kind,
            actor=actor,
            target=target,
            target_id=what,
            outcome=outcome,
            details=details,
        )
    return True


def flush_refusals() -> int:
    """Tell what was counted in spans that are over; return how many events that made."""
    told = 0
    for pk in RefusalTally.objects.filter(until__lte=timezone.now()).values_list("pk", flat=True):
        with transaction.atomic():
            rows = RefusalTally.objects.select_for_update(skip_locked=True)
            tally = rows.filter(pk=pk, until__lte=timezone.now()).first()
            if tally is None:  # whoever came next has done it
                continue
            told += _tell(tally)
            if timezone.now() >= tally.until + _span(tally.streak):
                tally.delete()
            else:  # stays, empty, to know whether the caller goes on
                tally.save()
    return told


def _open_tally(*, kind: AuditAction, actor: User | None) -> RefusalTally:
    """Return the caller's tally, locked; one whose span is over is told and begun anew."""
    context = current_context()
    now = timezone.now()
    who = f"user:{actor.pk}" if actor else f"address:{network_in_hand()}"
    rows = RefusalTally.objects.select_for_update()
    tally = rows.filter(kind=kind, who=who).first()
    if tally is None:
        if actor is None and _strangers(kind) >= MOST_CALLERS:
            who = OTHERS
        begun = {
            "actor_id": actor.pk if actor else None,
            "source_address": None if who == OTHERS else context.source_address,
            "user_agent": "" if who == OTHERS else context.user_agent,
            "since": now,
            "until": now + SPAN,
        }
        tally, _ = rows.get_or_create(kind=kind, who=who, defaults=begun)
    if tally.until <= now:
        _tell(tally)
        goes_on = now < tally.until + _span(tally.streak)
        tally.streak = min(tally.streak + 1, 10) if goes_on else 0
        tally.since, tally.until = now, now + _span(tally.streak)
        tally.told = []
        tally.source_address = context.source_address if who != OTHERS else None
        tally.user_agent = context.user_agent if who != OTHERS else ""
        tally.save()
    return tally


def _strangers(kind: AuditAction) -> int:
    return RefusalTally.objects.filter(kind=kind, actor_id=None)[:MOST_CALLERS].count()


def _span(streak: int) -> dt.timedelta:
    span: dt.timedelta = SPAN * 2**streak
    return min(span, LONGEST_SPAN)


def _tell(tally: RefusalTally) -> int:
    """Write the event that sums a span up, where there is something to sum up."""
    if not tally.count:
        return 0
    actor = User.objects.filter(pk=tally.actor_id).first() if tally.actor_id else None
    distinct = len(tally.targets)
    with bind_request_context(
        source_address=tally.source_address, request_id="", user_agent=tally.user_agent
    ):
        record_event(
            action=registry[tally.kind],
            actor=actor,
            outcome=Outcome.SERIOUS_FAILURE,
            details={
                "times": tally.count,
                "since": tally.since.isoformat(),
                "until": tally.until.isoformat(),
                "distinct": distinct if distinct < TARGETS_KEPT else f"{TARGETS_KEPT} or more",
                "targets": tally.targets,
                **({"callers": OTHERS} if tally.who == OTHERS else {}),
            },
        )
    tally.count, tally.targets = 0, []
    return 1
