"""Signing in with a password: guessers are slowed down, the right person always gets in."""

import datetime as dt
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.contrib.auth import authenticate

from accounts.choices import Action, Outcome
from accounts.errors import SignInBusy, TooManyAttempts
from accounts.hashing import keyed_digest
from accounts.models import User
from accounts.services.attempts import (
    claim_turn,
    count_attempt,
    network_in_hand,
    uncount_attempt,
)
from accounts.services.devices import recognise_device
from accounts.services.refusals import note_refusal
from accounts.services.sums import Proof, bits_for, is_earned, make_challenge

WINDOW = dt.timedelta(minutes=15)
NAME_BUDGET = 5
NETWORK_BUDGET = 20
DEVICE_BUDGET = 10
WAIT = dt.timedelta(seconds=30)
"""One try in so long for those whose browser does no sums."""
CHECKED_AT_ONCE = 1
LONGEST_QUEUE = 1
QUEUE_SECONDS = 5


class HashingLane:
    """Lets few passwords be checked at once in this process, so that threads stay for the rest."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        """Make room for `at_once` checks and `waiting` more that wait for one to end."""
        self._room = threading.BoundedSemaphore(at_once + waiting)
        self._work = threading.BoundedSemaphore(at_once)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Check one password inside. Raises SignInBusy."""
        if not self._room.acquire(blocking=False):
            raise SignInBusy
        try:
            if not self._work.acquire(timeout=QUEUE_SECONDS):
                raise SignInBusy
            try:
                yield
            finally:
                self._work.release()
        finally:
            self._room.release()


STRANGERS = HashingLane(at_once=CHECKED_AT_ONCE, waiting=LONGEST_QUEUE)
KNOWN = HashingLane(at_once=CHECKED_AT_ONCE, waiting=LONGEST_QUEUE)
"""For browsers that their owner has used before: strangers can't fill it."""


@dataclass(frozen=True)
class _Budget:
    """What a try is counted under, what is too many, and whose turn it is beyond that."""

    key: str
    most: int
    turn: str


def sign_in_user(
    *, username: str, password: str, device: str = "", proof: Proof | None = None
) -> User | None:
    """Return the person whose name and password these are, else None.

    Failures are counted per name and per network, and for a browser that this person has used
    before (`device`) apart from both. Beyond the budget the password is looked at when the
    browser has done a sum (`proof`), or after waiting for a turn: else TooManyAttempts, which
    holds the sum. Unknown, inactive and known names are treated alike. A try is counted before
    the password is looked at, so many at once are not more than the budget. Raises SignInBusy.
    """
    person = User.objects.named(username).first()
    known = recognise_device(user=person, value=device)
    name = f"name:{person.pk if person else name_digest(username)}"
    network = network_in_hand()
    if known:
        budgets = [_Budget(f"device:{known}", DEVICE_BUDGET, turn=f"device:{known}")]
    else:
        budgets = [
            _Budget(name, NAME_BUDGET, turn=f"{name}:{network}"),
            _Budget(f"network:{network}", NETWORK_BUDGET, turn=network),
        ]
    try:
        _spend(budgets, about=name, proof=proof or Proof())
        with (KNOWN if known else STRANGERS).turn():
            user = authenticate(username=username, password=password)
    except (SignInBusy, TooManyAttempts) as error:
        _give_back(budgets)
        note_failed_sign_in(username=username, reason=error.code)
        raise
    if not isinstance(user, User):
        return None
    _give_back(budgets)
    return user


def confirm_password(*, actor: User, password: str) -> bool:
    """Tell whether this is the password of the person at the keyboard, before it is changed.

    A session that was left open is no place to guess it. Raises TooManyAttempts, SignInBusy.
    """
    key = f"own:{actor.pk}"
    budgets = [_Budget(key, NAME_BUDGET, turn=key)]
    is_right = False
    try:
        _spend(budgets, about=key, proof=Proof())
        with KNOWN.turn():
            is_right = actor.check_password(password)
    except (SignInBusy, TooManyAttempts):
        _give_back(budgets)
        raise
    finally:
        if not is_right:
            note_refusal(actor=actor, kind=Action.SIGN_IN_FAILED, what="old password")
    if is_right:
        _give_back(budgets)
    return is_right


def count_bad_token() -> None:
    """Count a token that opened nothing among the failures of its network."""
    network = network_in_hand()
    count_attempt(key=f"network:{network}", window=WINDOW)


def name_digest(username: str) -> str:
    """What stands for a name that nobody has: it may be a password in the wrong field."""
    return keyed_digest(username.casefold(), purpose="accounts.sign_in.name")


def note_failed_sign_in(*, username: str, reason: str = "") -> None:
    """Note a failure: the name in clear only where somebody has it, the password never."""
    person = User.objects.named(username).first()
    note_refusal(
        actor=None,
        kind=Action.SIGN_IN_FAILED,
        what=person.username if person else f"unknown:{name_digest(username)}",
        outcome=Outcome.SERIOUS_FAILURE if reason else Outcome.MINOR_FAILURE,
        details={"reason": reason} if reason else None,
    )


def _spend(budgets: list[_Budget], *, about: str, proof: Proof) -> None:
    """Count one try; beyond the budget ask for work, or for time."""
    over, turn = 0.0, ""
    for budget in budgets:
        count = count_attempt(key=budget.key, window=WINDOW)
        if count > budget.most:
            over, turn = max(over, count / budget.most), budget.turn
    if not over:
        return
    bits = bits_for(over)
    if is_earned(proof=proof, about=about, bits=bits):
        return
    wait = claim_turn(key=f"turn:{turn}", every=WAIT)
    if wait is not None:
        seconds = math.ceil(wait.total_seconds())
        challenge = make_challenge(about=about, bits=bits)
        raise TooManyAttempts(seconds=seconds, challenge=challenge, bits=bits)


def _give_back(budgets: list[_Budget]) -> None:
    for budget in budgets:
        uncount_attempt(key=budget.key)
