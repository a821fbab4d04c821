"""What waits, and what failed lately: counts and ages, nothing of any patient."""

import datetime as dt

from django.conf import settings
from django.db.models import Count, Min
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import AccountMail
from classifier.choices import ClassificationState
from classifier.models import Classification
from classifier.services.model_state import find_model_state
from medimaging.health.parts import Part, State, probe
from records.choices import ExportState, Priority
from records.models import Export

LATE_S = {Priority.URGENT: 120, Priority.ROUTINE: 1800}
"""From such an age on, what waits for a worker waits too long."""

FAILURES_LOOKED_AT = dt.timedelta(hours=1)
MANY_FAILURES = 3
"""One reason that often within the hour is no accident of one study."""

MAIL_LATE_S = 900
EXPORT_LATE_S = 3600


@probe("queue")
def queue() -> Part:
    """The classifications that wait for a worker."""
    now = timezone.now()
    waiting = Classification.objects.filter(state=ClassificationState.QUEUED).order_by()
    rows = waiting.values_list("priority").annotate(Count("pk"), Min("queued_at"))
    by_priority = {
        priority: {"waiting": count, "oldest_s": _age(now, oldest)}
        for priority, count, oldest in rows
    }
    held_up = dict(
        waiting.exclude(waiting_code="").values_list("waiting_code").annotate(Count("pk"))
    )
    running = Classification.objects.filter(state=ClassificationState.RUNNING).count()
    facts = {"running": running, "waiting": by_priority, "held_up": held_up}
    total = sum(found["waiting"] for found in by_priority.values())
    if held_up:
        reasons = ", ".join(f"{code} ({count})" for code, count in sorted(held_up.items()))
        return Part(
            "queue",
            State.DEGRADED,
            "queue_held_up",
            f"Studies wait for something that isn't theirs to mend: {reasons}.",
            "See to what the code names; they are tried again by themselves.",
            facts,
        )
    late = [name for name in by_priority if by_priority[name]["oldest_s"] > _late_s(name)]
    if late:
        oldest = max(by_priority[name]["oldest_s"] for name in late)
        return Part(
            "queue",
            State.DEGRADED,
            "queue_late",
            f"{total} wait, and the oldest {' and '.join(sorted(late))} one has waited "
            f"{_duration(oldest)}.",
            "Look whether workers run; if they do, start more of them.",
            facts,
        )
    message = f"{total} wait, {running} are being classified." if total else "Nothing waits."
    return Part("queue", State.OK, "ok", message, facts=facts)


@probe("failures")
def failures() -> Part:
    """The classifications that failed within the hour, by their codes."""
    since = timezone.now() - FAILURES_LOOKED_AT
    failed = Classification.objects.filter(state=ClassificationState.FAILED, finished_at__gte=since)
    by_code = dict(failed.order_by().values_list("failure_code").annotate(Count("pk")))
    facts = {"by_code": by_code}
    many = sorted(code for code, count in by_code.items() if count >= MANY_FAILURES)
    total = sum(by_code.values())
    if many:
        return Part(
            "failures",
            State.DEGRADED,
            "failures_many",
            f"{total} classifications failed within the hour, most for one reason: "
            f"{', '.join(many)}.",
            "See to the reason, then have them run again.",
            facts,
        )
    message = f"{total or 'No'} classification{'' if total == 1 else 's'} failed within the hour."
    return Part("failures", State.OK, "ok", message, facts=facts)


@probe("models")
def models() -> Part:
    """Whether every model in use is here; a newer one that waits is told, and nothing is wrong."""
    state = find_model_state()
    missing = [str(version) for version in state.missing]
    waiting = [entry.sentence for entry in state.waiting]
    facts = {"missing": missing, "waiting": waiting}
    if missing:
        return Part(
            "models",
            State.DEGRADED,
            "model_missing",
            f"In use, and its files are nowhere here: {', '.join(missing)}. Its studies wait.",
            "Put another version into use on the page Models, or restore this one.",
            facts,
        )
    if waiting:
        return Part(
            "models",
            State.OK,
            "model_waiting",
            " ".join(waiting),
            "Look at it on the page Models, and put it into use or leave it.",
            facts,
        )
    return Part("models", State.OK, "ok", "Every model in use is here.", facts=facts)


@probe("mail")
def mail() -> Part:
    """The mail that waits to be sent."""
    if not settings.MAIL_ENABLED:
        return Part("mail", State.OK, "ok", "No mail server is set; none is sent.")
    found = AccountMail.objects.aggregate(waiting=Count("pk"), oldest=Min("created_at"))
    age = _age(timezone.now(), found["oldest"])
    facts = {"waiting": found["waiting"], "oldest_s": age}
    if age > MAIL_LATE_S:
        return Part(
            "mail",
            State.DEGRADED,
            "mail_late",
            f"{found['waiting']} mails wait, the oldest for {_duration(age)}.",
            "Look at the mail server, and at EMAIL_URL.",
            facts,
        )
    return Part("mail", State.OK, "ok", f"{found['waiting'] or 'No'} mail waits.", facts=facts)


@probe("exports")
def exports() -> Part:
    """The copies that wait to be prepared."""
    preparing = Export.objects.filter(state=ExportState.PREPARING)
    # One that nobody has begun has waited since it was asked for.
    since = Coalesce("touched_at", "requested_at")
    found = preparing.aggregate(waiting=Count("pk"), oldest=Min(since))
    age = _age(timezone.now(), found["oldest"])
    facts = {"waiting": found["waiting"], "oldest_s": age}
    if age > EXPORT_LATE_S:
        return Part(
            "exports",
            State.DEGRADED,
            "exports_late",
            f"{found['waiting']} copies wait, and one has got no further for {_duration(age)}.",
            "Look whether a worker does the housekeeping. Copies of more than EXPORT_MAX_IMAGES "
            "images are made by `manage.py deidentify --export ID`.",
            facts,
        )
    return Part("exports", State.OK, "ok", f"{found['waiting'] or 'No'} copy waits.", facts=facts)


def _late_s(priority: str) -> int:
    return LATE_S.get(Priority(priority), LATE_S[Priority.ROUTINE])


def _age(now: dt.datetime, at: dt.datetime | None) -> int:
    return max(0, round((now - at).total_seconds())) if at else 0


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h"
