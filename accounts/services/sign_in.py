"""Signing in with a password, paused after repeated failures."""

import datetime as dt
import math

from django.contrib.auth import authenticate
from django.db import connection, transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.errors import TooManyAttempts
from accounts.models import Action, AuditEvent, Outcome, User

MAX_FAILURES = 5
WINDOW = dt.timedelta(minutes=15)


def sign_in_user(*, username: str, password: str) -> User | None:
    """Return the person whose name and password these are, else None.

    After five failures for a name within a quarter of an hour the password is no longer
    looked at (TooManyAttempts). Unknown, inactive and known names are treated alike, and
    attempts for one name take turns, so that many at once are not more than five guesses.
    The failure is recorded, and committed, before anything is raised.
    """
    with transaction.atomic():
        _take_turn(username)
        pause = _pause_for(username)
        if pause is None:
            user = authenticate(username=username, password=password)
            return user if isinstance(user, User) else None
        record_event(
            action=Action.SIGN_IN_FAILED,
            actor=None,
            target_id=username.lower(),
            outcome=Outcome.SERIOUS_FAILURE,
            details={"reason": TooManyAttempts.code},
        )
    raise TooManyAttempts(minutes=math.ceil(pause / dt.timedelta(minutes=1)))


def _take_turn(username: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('accounts.sign_in'), hashtext(%s))",
            [username.lower()],
        )


def _pause_for(username: str) -> dt.timedelta | None:
    """How long sign-in stays paused for this name, or None when it is open.

    A success, or a new password, wipes the failures before it out.
    """
    user = User.objects.named(username).first()
    opened = AuditEvent.objects.recent_openings(user_id=user.pk if user else None, window=WINDOW)
    failures = AuditEvent.objects.failed_sign_ins(username=username, window=WINDOW)
    last_opening = opened.values_list("id", flat=True).first() or 0
    recent = list(failures.filter(id__gt=last_opening)[:MAX_FAILURES])
    if len(recent) < MAX_FAILURES:
        return None
    return recent[-1].occurred_at + WINDOW - timezone.now()
