"""Who may count on a file in the store, and who may remove it, until a transaction ends.

A row that is about to point to a file isn't seen by others before it is committed. Whoever
publishes a file therefore holds a shared lock on its content up to then; a file is removed only
under the exclusive one, and only if no row points to it at that moment.

A backup copies the files of rows as they were at one moment. While it does, nothing is removed:
whoever removes a file shares a lock that the backup holds for itself.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django.db import connection
from django.db.transaction import TransactionManagementError

LOCK_SPACE = 0x53544F52
"""The first of the two numbers of PostgreSQL's advisory locks, which keeps ours apart."""
REMOVAL_LOCK = 0x53544F52_52454D56
"""The one number of the lock that stands before every removal."""


def hold_contents(hashes: Iterable[str]) -> None:
    """Keep the files of these contents from being removed; waits while somebody removes one.

    Raises TransactionManagementError outside a transaction, where it would hold nothing.
    """
    numbers = [_number(sha256) for sha256 in hashes]
    _ask(
        "SELECT count(pg_advisory_xact_lock_shared(%s, number)) FROM unnest(%s::int[]) number",
        [LOCK_SPACE, numbers],
    )


def own_content(sha256: str) -> bool:
    """Take the right to remove the file of this content; False while somebody counts on it.

    A backup counts on all of them. Raises TransactionManagementError outside a transaction.
    """
    return may_remove() and bool(
        _ask("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_SPACE, _number(sha256)])
    )


def may_remove() -> bool:
    """Take the right to remove files of any kind; False while a backup copies them.

    Raises TransactionManagementError outside a transaction.
    """
    return bool(_ask("SELECT pg_try_advisory_xact_lock_shared(%s)", [REMOVAL_LOCK]))


def _number(sha256: str) -> int:
    return int.from_bytes(bytes.fromhex(sha256[:8]), signed=True)


def _ask(query: str, values: Sequence[int | list[int]]) -> object:
    if not connection.in_atomic_block:
        raise TransactionManagementError("The lock on a file's content needs a transaction.")
    with connection.cursor() as cursor:
        cursor.execute(query, cast(Any, values))
        row = cursor.fetchone()
    return row[0] if row else None
