"""Up to which moment everything that was changed can be seen.

A change is dated when it is written and seen when its transaction ends, so a row may turn up that
is older than rows that were seen before. Whoever asks for what is new would miss it.
"""

import datetime as dt

from django.db import connection

OLDEST_CHANGE = """
SELECT least(statement_timestamp(), min(xact_start)) FROM pg_stat_activity
 WHERE backend_xid IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()
"""
"""A transaction that writes has a number, and its changes are later than its start."""


def settled_before() -> dt.datetime:
    """Return the moment before which no change can turn up any more.

    Every process of the product signs in to the database as the same role, which is shown its own
    transactions alone: what somebody else writes by SQL isn't waited for.
    """
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_CHANGE)
        (moment,) = cursor.fetchone()
    settled: dt.datetime = moment
    return settled
