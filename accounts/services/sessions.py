"""Sessions: opened by a sign-in, ended by their owner, an administrator, a password, or time."""

import datetime as dt
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from accounts.audit import bind_request_context, bind_session, current_context, record_event
from accounts.audit import session_id_of as hash_of
from accounts.choices import Action, SessionEnd
from accounts.models import User, UserSession
from accounts.services.refusals import note_refusal

SESSION_ROW = "accounts.session"
"""Under this name a session holds the id of its row."""
SEEN_EVERY = dt.timedelta(minutes=1)
SLACK = dt.timedelta(minutes=2)
KEPT_ENDED = dt.timedelta(days=30)


@transaction.atomic
def open_session(*, actor: User, session_key: str) -> UserSession:
    """Note that somebody signed in, and from where; return the session's row."""
    bind_session(session_key, responsible=current_context().responsible)
    context, now = current_context(), timezone.now()
    row = UserSession.objects.create(
        user=actor,
        session_hash=hash_of(session_key),
        created_at=now,
        last_seen_at=now,
        source_address=context.source_address,
        user_agent=context.user_agent,
    )
    record_event(action=Action.SIGNED_IN, actor=actor, target=actor)
    return row


@transaction.atomic
def close_session(*, actor: User, row_id: str | None) -> None:
    """Note that somebody signed out."""
    if row_id:
        rows = UserSession.objects.open().filter(pk=row_id, user=actor)
        rows.update(ended_at=timezone.now(), end_reason=SessionEnd.SIGNED_OUT)
    record_event(action=Action.SIGNED_OUT, actor=actor, target=actor)


def find_open_session(*, user: User, row_id: str | None, session_key: str) -> UserSession | None:
    """Return the row of a session that still opens the door, else None, and note that.

    One that has been open too long ends here. A session without a row never opens.
    """
    row = UserSession.objects.open().filter(pk=row_id, user=user).first() if row_id else None
    if row is None:
        note_closed_session(session_key=session_key)
        return None
    if row.created_at <= timezone.now() - _oldest():
        _expire(row, SessionEnd.TOO_OLD)
        return None
    return row


def touch_session(*, row: UserSession, session_key: str) -> None:
    """Note that somebody works in a session, once a minute, and the key that it has now."""
    now, digest = timezone.now(), hash_of(session_key)
    if row.session_hash == digest and row.last_seen_at > now - SEEN_EVERY:
        return
    rows = UserSession.objects.open().filter(pk=row.pk)
    rows.update(last_seen_at=now, session_hash=digest)


def note_closed_session(*, session_key: str) -> None:
    """Note that somebody came with a session that opens nothing: expired, ended or invented."""
    known = UserSession.objects.select_related("user").filter(session_hash=hash_of(session_key))
    row = known.first()
    if row is not None and row.ended_at is None:
        _expire(row, SessionEnd.IDLE)
        return
    details = {"username": row.user.username, "ended": row.end_reason} if row else {}
    what = row.session_hash if row else ""
    note_refusal(actor=None, kind=Action.SESSION_UNKNOWN, what=what, details=details)


@transaction.atomic
def end_sessions(
    *, actor: User, user: User, only: UUID | None = None, keep: str | None = None
) -> int:
    """End one session of a person, or all but `keep`; return how many. None ended, none noted."""
    rows = UserSession.objects.filter(user=user)
    if only is not None:
        rows = rows.filter(pk=only)
    ended = close_sessions(rows.exclude(pk=keep) if keep else rows, reason=SessionEnd.ENDED)
    if ended:
        record_event(
            action=Action.SESSION_ENDED,
            actor=actor,
            target=user,
            details={"username": user.username, "sessions": ended},
        )
    return len(ended)


def close_sessions(rows: models.QuerySet[UserSession], *, reason: SessionEnd) -> list[str]:
    """End those of `rows` that are open, inside the caller's transaction; return their hashes."""
    locked = rows.filter(ended_at__isnull=True).select_for_update()
    hashes = list(locked.values_list("session_hash", flat=True))
    rows.filter(session_hash__in=hashes, ended_at__isnull=True).update(
        ended_at=timezone.now(), end_reason=reason
    )
    return hashes


def expire_sessions() -> int:
    """End the sessions whose time is over though nobody came back; forget those long ended."""
    idle = dt.timedelta(seconds=settings.SESSION_COOKIE_AGE) + SLACK
    due = UserSession.objects.idle_or_too_old(idle=idle, oldest=_oldest()).select_related("user")
    number = 0
    for row in due[:1000]:
        is_old = row.created_at <= timezone.now() - _oldest()
        with bind_request_context(
            source_address=row.source_address, request_id="", user_agent=row.user_agent
        ):
            number += _expire(row, SessionEnd.TOO_OLD if is_old else SessionEnd.IDLE)
    UserSession.objects.filter(ended_at__lte=timezone.now() - KEPT_ENDED).delete()
    # Those that Django keeps, also of visitors who never signed in.
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return number


@transaction.atomic
def _expire(row: UserSession, reason: SessionEnd) -> bool:
    """End a session whose time is over; False where somebody else has just done it."""
    rows = UserSession.objects.open().filter(pk=row.pk)
    if not rows.update(ended_at=timezone.now(), end_reason=reason):
        return False
    record_event(
        action=Action.SESSION_EXPIRED,
        actor=row.user,
        target=row.user,
        details={
            "username": row.user.username,
            "reason": str(reason.label).lower(),
            "session_id": row.session_hash,
            "since": row.created_at.isoformat(),
        },
    )
    return True


def _oldest() -> dt.timedelta:
    return dt.timedelta(hours=settings.SESSION_MAX_HOURS)
