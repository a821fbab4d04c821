"""Who may count on a file in the store, and who may remove it, until a transaction ends.

A row that is about to point to a file isn't seen by others before it is committed. Whoever
publishes a file therefore holds a shared lock on its content up to then; a file is removed only
under the exclusive one, and only if no row points to it at that moment.
"""

from django.db import connection
from django.db.transaction import TransactionManagementError

LOCK_SPACE = 0x53544F52
"""The first of the two numbers of PostgreSQL's advisory locks, which keeps ours apart."""


def hold_content(sha256: str) -> None:
    """Keep the file of this content from being removed; waits while somebody removes it.

    Raises TransactionManagementError outside a transaction, where it would hold nothing.
    """
    _ask("SELECT pg_advisory_xact_lock_shared(%s, %s)", sha256)


def own_content(sha256: str) -> bool:
    """Take the right to remove the file of this content; False while somebody counts on it.

    Raises TransactionManagementError outside a transaction.
    """
    return bool(_ask("SELECT pg_try_advisory_xact_lock(%s, %s)", sha256))


def _ask(query: str, sha256: str) -> object:
    if not connection.in_atomic_block:
        raise TransactionManagementError("The lock on a file's content needs a transaction.")
    number = int.from_bytes(bytes.fromhex(sha256[:8]), signed=True)
    with connection.cursor() as cursor:
        cursor.execute(query, [LOCK_SPACE, number])
        row = cursor.fetchone()
    return row[0] if row else None
