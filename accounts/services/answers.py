"""Requests with an Idempotency-Key: done once, and answered alike for a day."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from accounts.errors import IdempotencyKeyReused, RequestUnderWay
from accounts.hashing import keyed_digest
from accounts.models import KeptAnswer, User
from accounts.sealing import open_values, seal_values

KEPT_FOR = dt.timedelta(hours=24)


@dataclass(frozen=True)
class Answer:
    """What was answered to a request: status, headers of its own, decoded JSON."""

    status: int
    headers: dict[str, str]
    body: Any


def claim_request(*, actor: User, key: str, fingerprint: str) -> KeptAnswer | Answer:
    """Return the row of a request that shall be done now, or the answer that it got before.

    `fingerprint` is what was sent, in words of any length. Raises IdempotencyKeyReused where the
    key came with something else, RequestUnderWay where the first request has not ended.
    """
    named = keyed_digest(key, purpose="accounts.answers.key")
    sent = keyed_digest(fingerprint, purpose="accounts.answers.fingerprint")
    KeptAnswer.objects.of_key(user=actor, key=named).older_than(KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(user=actor, key=named, fingerprint=sent)
    except IntegrityError:
        row = KeptAnswer.objects.of_key(user=actor, key=named).first()
    if row is not None and row.fingerprint != sent:
        raise IdempotencyKeyReused
    # None: the first request was refused in this moment.
    if row is None or row.status is None:
        raise RequestUnderWay
    kept = open_values(row.body)
    return Answer(row.status, row.headers, None if kept is None else json.loads(kept["body"]))


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
