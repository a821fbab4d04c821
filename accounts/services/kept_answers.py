"""Requests with an Idempotency-Key: done once, and answered alike for a day.

Whoever does a request holds a lock of its database session meanwhile. It goes with the process or
with the database, so that a request that is under way is told from one that was cut off.
"""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, IntegrityError, InterfaceError, connection, transaction

from accounts.errors import IdempotencyKeyReused, RequestUnderWay
from accounts.hashing import keyed_digest
from accounts.models import KeptAnswer, User
from accounts.sealing import open_values, seal_values

KEPT_FOR = dt.timedelta(hours=24)
LOCK_SPACE = 0x4B455953
"""The first of the two numbers of PostgreSQL's advisory locks, which keeps ours apart."""


@dataclass(frozen=True)
class Answer:
    """What was answered to a request: status, headers of its own, decoded JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@contextmanager
def claimed_request(
    *, actor: User, key: str, fingerprint: str, is_repeatable: bool = False
) -> Iterator[KeptAnswer | Answer]:
    """Yield the row of a request that shall be done now, or the answer that it got before.

    `fingerprint` is what was sent, in words of any length. One that was cut off is done again if it
    `is_repeatable`: what it had done by then is recognised. Raises IdempotencyKeyReused where the
    key came with something else, RequestUnderWay where the first request has not ended, or was cut
    off and nobody can tell what it did.
    """
    named = keyed_digest(key, purpose="accounts.answers.key")
    sent = keyed_digest(fingerprint, purpose="accounts.answers.fingerprint")
    KeptAnswer.objects.of_key(user=actor, key=named).older_than(KEPT_FOR).delete()
    whose = keyed_digest(f"{actor.pk}:{key}", purpose="accounts.answers.lock")
    with _only_one(whose) as is_alone:
        row, is_new = _find_or_create(actor, named, sent)
        if row is not None and row.fingerprint != sent:
            raise IdempotencyKeyReused
        if row is not None and row.status is not None:
            kept = open_values(row.body)
            body = None if kept is None else json.loads(kept["body"])
            yield Answer(row.status, row.headers, body)
            return
        # None: the first request was refused in this moment.
        if row is None or not is_alone or not (is_new or is_repeatable):
            raise RequestUnderWay
        yield row


def _find_or_create(actor: User, named: str, sent: str) -> tuple[KeptAnswer | None, bool]:
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(user=actor, key=named, fingerprint=sent), True
    except IntegrityError:
        return KeptAnswer.objects.of_key(user=actor, key=named).first(), False


@contextmanager
def _only_one(digest: str) -> Iterator[bool]:
    """Hold the lock of that digest for this session; yields False where another session has it."""
    number = int.from_bytes(bytes.fromhex(digest[:8]), signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, number])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            # With the session the lock is gone as well.
            with suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_SPACE, number])


def keep_answer(*, row: KeptAnswer, answer: Answer) -> None:
    """Keep what was answered, for whoever sends the same again."""
    row.status, row.headers = answer.status, answer.headers
    # As text: its fields come back in the order in which they left.
    row.body = seal_values({"body": json.dumps(answer.body)})
    row.save(update_fields=["status", "headers", "body"])


def release_request(*, row: KeptAnswer) -> None:
    """Give the key of a request free that was refused: nothing was done."""
    row.delete()


def forget_answers() -> int:
    """Remove the answers whose day is over; return how many."""
    forgotten, _ = KeptAnswer.objects.older_than(KEPT_FOR).delete()
    return forgotten
