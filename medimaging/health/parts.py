"""Asking each part of the product how it is: side by side, and never waiting long for one."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import connections

from accounts.outages import is_database_outage

logger = logging.getLogger(__name__)

DEADLINE_S = 0.8
REDIS_S = 0.6
"""So long Redis may take for one answer: less than the deadline of whoever asks it."""
"""So long an answer about all parts may take, whatever is down or says nothing."""


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    DEGRADED = "degraded"
    """Something waits or is missing; what it is there for still works, or works later."""
    DOWN = "down"
    UNKNOWN = "unknown"
    """Nobody could tell in time."""


@dataclass(frozen=True)
class Part:
    """One part of the product as it was found.

    `code` is stable (`ok` where all is well), `message` a sentence for staff without anything of a
    patient, `action` what to do, empty where there is nothing to do. `facts` holds what was
    measured: numbers and short words that JSON can carry, with the unit in each name.
    """

    name: str
    state: State
    code: str
    message: str
    action: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Probe = Callable[[], Part]

PROBES: dict[str, Probe] = {}
"""Who can tell of each part, by the part's name, in the order in which they are shown.

A probe runs in a thread of its own, which keeps no database connection afterwards. It may take
its time and may raise: the part is `unknown` then.
"""


def probe(name: str) -> Callable[[Probe], Probe]:
    """Register a function that tells of the part `name`."""

    def register(look: Probe) -> Probe:
        PROBES[name] = look
        return look

    return register


def parts(*, deadline_s: float = DEADLINE_S, names: Collection[str] | None = None) -> list[Part]:
    """Ask all parts, or those of `names`, at the same time, and answer within `deadline_s`.

    A part that hasn't answered by then is `unknown`; its thread is left behind, and whoever asks
    next waits for that one instead of starting another.
    """
    until = time.monotonic() + deadline_s
    asked = PROBES if names is None else [name for name in PROBES if name in names]
    looks = [_looks.join_or_start(name) for name in asked]
    return [look.wait(until - time.monotonic()) for look in looks]


def worst(found: Iterable[Part]) -> State:
    """The state of them all together."""
    order = [State.OK, State.UNKNOWN, State.DEGRADED, State.DOWN]
    return max((part.state for part in found), key=order.index, default=State.OK)


class _Look:
    """One asking of one part, shared by all who ask while it lasts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: Part | None = None
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"health-{name}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether its thread is on its way; after a fork it is in the parent alone."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> Part:
        """Return what was found, or that nobody could tell within `seconds`."""
        self._is_done.wait(max(seconds, 0))
        return self._found or Part(
            self.name,
            State.UNKNOWN,
            "no_answer",
            "There was no answer in time.",
            "Look again in a minute; if that stays so, look at what it depends on.",
        )

    def _run(self) -> None:
        try:
            self._found = PROBES[self.name]()
        except Exception as error:  # noqa: BLE001 - it is told, and logged
            self._found = self._not_told(error)
        finally:
            connections.close_all()
            self._is_done.set()

    def _not_told(self, error: Exception) -> Part:
        if is_database_outage(error):
            return Part(
                self.name,
                State.UNKNOWN,
                "database_unavailable",
                "This can't be told while PostgreSQL is away.",
                "Look at PostgreSQL first.",
            )
        logger.exception("the part %s can't be asked", self.name)
        return Part(
            self.name,
            State.UNKNOWN,
            "probe_failed",
            f"It can't be told how this is ({type(error).__name__}).",
            "Look into the log for “can't be asked”.",
        )


class _Looks:
    """What is being asked at this moment: at most one thread for each part."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Look] = {}

    def join_or_start(self, name: str) -> _Look:
        with self._lock:
            look = self._running.get(name)
            if look is None or not look.is_running:
                look = self._running[name] = _Look(name)
            return look


_looks = _Looks()
