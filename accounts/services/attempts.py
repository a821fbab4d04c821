"""Counting what is tried, in PostgreSQL: for all processes together, and with Redis down."""

import datetime as dt

from django.db import connection
from django.utils import timezone

from accounts.audit import current_context
from accounts.client_addresses import network_of
from accounts.models import Attempts

KEPT = dt.timedelta(hours=2)
LOCAL = "local"
COUNT = """
INSERT INTO accounts_attempts (key, count, since) VALUES (%(key)s, 1, %(now)s)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN accounts_attempts.since <= %(from)s THEN 1
                 ELSE accounts_attempts.count + 1 END,
    since = CASE WHEN accounts_attempts.since <= %(from)s THEN %(now)s
                 ELSE accounts_attempts.since END
RETURNING count
"""


def network_in_hand() -> str:
    """Return what counts as one caller of the request in hand; `local` outside of requests."""
    return network_of(current_context().source_address or LOCAL)


def count_attempt(*, key: str, window: dt.timedelta) -> int:
    """Count one more under `key` and return how many it makes within `window`.

    One statement, so that many at once get a number each.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"key": key, "now": now, "from": now - window})
        (count,) = cursor.fetchone()
    return int(count)


def uncount_attempt(*, key: str) -> None:
    """Take one back that turned out not to count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_attempts SET count = count - 1 WHERE key = %s AND count > 0", [key]
        )


def claim_turn(*, key: str, every: dt.timedelta) -> dt.timedelta | None:
    """Take the turn that comes once in `every`: None when it is ours, else how long to wait.

    The first to ask waits as well; asking again does not make the wait longer.
    """
    now = timezone.now()
    due = Attempts.objects.filter(key=key, since__lte=now - every)
    if due.filter(since__gt=now - KEPT).update(since=now):
        return None
    due.update(since=now)  # so old that whoever began to wait then has gone
    row, _ = Attempts.objects.get_or_create(key=key, defaults={"since": now})
    return max(row.since + every - now, dt.timedelta(seconds=1))


def sweep_attempts() -> int:
    """Forget counts that no limit looks at any more; return how many rows went."""
    removed, _ = Attempts.objects.filter(since__lte=timezone.now() - KEPT).delete()
    return removed
