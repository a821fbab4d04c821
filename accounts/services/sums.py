"""Sums for a browser to do before another try: cheap for a person, dear for a guesser."""

import datetime as dt
import hashlib
import math
import secrets
from dataclasses import dataclass

from django.core import signing

from accounts.services.attempts import count_attempt

SALT = "accounts.services.sums"
VALID = dt.timedelta(minutes=10)
FEWEST_BITS = 14
MOST_BITS = 19
LEEWAY_BITS = 2
"""Others may raise what is asked while somebody's browser is at work."""
LONGEST_WORK = 20
DIGEST_BITS = 256


@dataclass(frozen=True)
class Proof:
    """A challenge of ours, and the number that a browser found for it."""

    challenge: str = ""
    work: str = ""


def bits_for(excess: float) -> int:
    """How hard the sum is when so many times the budget was used up: 2 bits per doubling."""
    return min(FEWEST_BITS + 2 * int(math.log2(max(excess, 1.0))), MOST_BITS)


def make_challenge(*, about: str, bits: int) -> str:
    """Return a challenge that is good for one try about one thing, for ten minutes."""
    return signing.dumps([about, bits, secrets.token_hex(8)], salt=SALT)


def is_earned(*, proof: Proof, about: str, bits: int) -> bool:
    """Tell whether the work was done, for this, hard enough, and never shown before."""
    if not proof.challenge or len(proof.work) > LONGEST_WORK:
        return False
    try:
        given_about, given_bits, nonce = signing.loads(proof.challenge, salt=SALT, max_age=VALID)
    except (signing.BadSignature, ValueError, TypeError):
        return False
    if given_about != about or given_bits < bits - LEEWAY_BITS:
        return False
    digest = hashlib.sha256(f"{proof.challenge}:{proof.work}".encode()).digest()
    if int.from_bytes(digest) >> (DIGEST_BITS - given_bits):
        return False
    return count_attempt(key=f"spent:{nonce}", window=2 * VALID) == 1
