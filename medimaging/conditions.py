"""Says in the log once that something begins to be wrong, and once that it is right again.

Several processes look: a task of housekeeping, and `manage.py export_metrics`, which also sees that
nobody does the housekeeping. What has been told stands in Redis, so that one of them tells it.
"""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import cast

import redis
from django.utils import timezone

from medimaging.health import (
    Part,
    State,
    parts,
    probes,  # noqa: F401 - what it registers is asked
)
from medimaging.heartbeats import connect
from medimaging.logs import told

logger = logging.getLogger(__name__)

KEY = "medimaging:conditions"
"""A hash: when each condition that stands began, by part and code."""

ILL = (State.DEGRADED, State.DOWN)


class ConditionLog:
    """What one process has seen; `note` may be called as often as one likes."""

    def __init__(self) -> None:
        self._unsure: set[str] = set()
        # What stood in Redis at the last look, and what this process answers for without it.
        self._known: dict[str, str] = {}
        self._mine: dict[str, str] = {}

    def look(self) -> None:
        """Ask all parts, and tell what has begun or ended."""
        self.note(parts())

    def note(self, found: Iterable[Part]) -> None:
        """Tell what has begun or ended since anybody looked last.

        A part that gave no answer in time is believed the second time: once may be chance.
        """
        found = list(found)
        unsure = {part.name for part in found if part.state is State.UNKNOWN}
        ill = {
            f"{part.name}/{part.code}": part
            for part in found
            if part.state in ILL or part.name in unsure & self._unsure
        }
        # Nobody knows whether what stands has ended.
        untold = unsure - {part.name for part in ill.values()}
        self._unsure = unsure
        try:
            with connect() as client:
                self._compare(client, ill, untold)
        except redis.RedisError:
            self._compare_alone(ill, untold)

    def _compare(self, client: redis.Redis, ill: dict[str, Part], untold: set[str]) -> None:
        now = timezone.now().isoformat()
        stored = cast(dict[bytes, bytes], client.hgetall(KEY))
        known = {key.decode(): since.decode() for key, since in stored.items()}
        for key, part in ill.items():
            if client.hsetnx(KEY, key, self._mine.get(key, now)) and key not in self._mine:
                _tell_begin(part)
        for key, since in (known | self._mine).items():
            if key in ill or key.partition("/")[0] in untold:
                continue
            if client.hdel(KEY, key) or key not in known:
                _tell_end(key, since)
        self._mine = {}
        self._known = known | dict.fromkeys(ill, now)

    def _compare_alone(self, ill: dict[str, Part], untold: set[str]) -> None:
        self._mine = self._known | self._mine
        self._known = {}
        for key, part in ill.items():
            if key not in self._mine:
                self._mine[key] = timezone.now().isoformat()
                _tell_begin(part)
        for key in [key for key in self._mine if key not in ill]:
            if key.partition("/")[0] not in untold:
                _tell_end(key, self._mine.pop(key))


def _tell_begin(part: Part) -> None:
    level = logging.ERROR if part.state is State.DOWN else logging.WARNING
    logger.log(
        level,
        "condition %s began: %s %s",
        *(part.code, part.message, part.action),
        extra=told(part=part.name, code=part.code, condition="began"),
    )


def _tell_end(key: str, since: str) -> None:
    part, _, code = key.partition("/")
    seconds = (timezone.now() - datetime.fromisoformat(since)).total_seconds()
    logger.warning(
        "condition %s ended after %.0f s",
        *(code, seconds),
        extra=told(part=part, code=code, condition="ended", seconds=round(seconds)),
    )


conditions = ConditionLog()
"""That of this process."""
