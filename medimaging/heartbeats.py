"""Which processes of the product live: each says so in Redis every few seconds.

Redis and not PostgreSQL, because beat has no database password; and by Redis's own clock, so that
a process whose clock is wrong is neither dead for that nor kept alive by it.
"""

import json
import logging
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import redis
from django.conf import settings

from accounts import broker
from accounts.processes import name_process, process_name, process_role
from medimaging.release import VERSION

logger = logging.getLogger(__name__)

INDEX = "medimaging:heartbeats"
"""A sorted set: the name of each process, by when it last said that it lives."""

KEPT_S = 600
"""So long a process that fell silent is still told of; after that nobody waits for it."""

_stopped = threading.Event()

CLOCK_TOLERANCE_S = 2.0
TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Heartbeat:
    """What one process last said of itself. Times are Redis's, `age_s` is since `beat_at`.

    `clock_offset_s` is how far its clock is ahead of Redis's; `rss_bytes` is the memory of the
    process and of those below it; `doing` names the task in hand, if any.
    """

    name: str
    role: str
    queues: tuple[str, ...]
    version: str
    host: str
    pid: int
    started_at: datetime
    beat_at: datetime
    clock_offset_s: float
    rss_bytes: int
    doing: str = ""
    doing_since: datetime | None = None
    age_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Tell whether it should have said long ago that it lives."""
        return self.age_s > settings.HEARTBEAT_SILENT_SECONDS

    @property
    def is_clock_off(self) -> bool:
        """Tell whether its clock is further from Redis's than times in records may be."""
        return abs(self.clock_offset_s) > CLOCK_TOLERANCE_S


@dataclass(frozen=True)
class Work:
    """What a process has in hand: the task, and how many seconds ago it began."""

    task: str
    seconds: float


UNSAID = (redis.RedisError, OSError, psutil.Error)
"""What may keep a process from saying that it lives; it lives all the same."""


def beat(*, queues: tuple[str, ...] = (), work: Work | None = None) -> Heartbeat:
    """Say that this process lives, and return what was said. Raises redis.RedisError."""
    with connect() as client:
        now, offset = _clock(client)
        said = Heartbeat(
            name=process_name(),
            role=process_role(),
            queues=queues,
            version=VERSION,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=_at(now - _running_s()),
            beat_at=_at(now),
            clock_offset_s=round(offset, 3),
            rss_bytes=_memory(),
            doing=work.task if work else "",
            doing_since=_at(now - work.seconds) if work else None,
        )
        pipeline = client.pipeline(transaction=True)
        pipeline.zadd(INDEX, {said.name: now})
        pipeline.zremrangebyscore(INDEX, "-inf", now - KEPT_S)
        pipeline.set(_key(said.name), json.dumps(asdict(said), default=_as_text), ex=KEPT_S)
        pipeline.execute()
    return said


def heartbeats() -> list[Heartbeat]:
    """What each process last said, by role and name; raises redis.RedisError."""
    with connect() as client:
        now, _ = _clock(client)
        names = [name.decode() for name in client.zrangebyscore(INDEX, now - KEPT_S, "+inf")]
        found = client.mget([_key(name) for name in names]) if names else []
    said = [_read(text, now) for text in found if text is not None]
    return sorted(said, key=lambda one: (one.role, one.name))


def fall_silent() -> None:
    """Take back what this process said, because it ends in an orderly way."""
    with connect() as client:
        pipeline = client.pipeline(transaction=True)
        pipeline.zrem(INDEX, process_name())
        pipeline.delete(_key(process_name()))
        pipeline.execute()


class ClockWatch:
    """Names a clock that is off once, and once more when it is right again."""

    def __init__(self) -> None:
        self.was_off = False

    def note(self, said: Heartbeat) -> None:
        """Log when the clock goes wrong, and when it is right again."""
        if said.is_clock_off and not self.was_off:
            logger.error(
                "clock_off: the clock of %s is %.1f s %s Redis's; set it by NTP",
                said.host,
                abs(said.clock_offset_s),
                "ahead of" if said.clock_offset_s > 0 else "behind",
            )
        elif self.was_off and not said.is_clock_off:
            logger.info("clock_right: the clock of %s agrees with Redis's again", said.host)
        self.was_off = said.is_clock_off


def start_beating(role: str) -> None:
    """Name this process, and have a thread say every few seconds that it lives."""
    name_process(role)
    _stopped.clear()
    threading.Thread(target=_beat_on, name="heartbeat", daemon=True).start()


def stop_beating() -> None:
    """End that, because the process ends; Redis need not be there to hear it."""
    _stopped.set()
    with suppress(redis.RedisError):
        fall_silent()


def _beat_on() -> None:
    watch = ClockWatch()
    while not _stopped.is_set():
        try:
            watch.note(beat())
        except UNSAID:
            logger.debug("the heartbeat didn't reach Redis", exc_info=True)
        _stopped.wait(settings.HEARTBEAT_SECONDS)


def connect() -> redis.Redis:
    """A connection of its own to Redis that waits at most TIMEOUT_S for each answer."""
    return broker.connect(timeout_s=TIMEOUT_S)


def _clock(client: redis.Redis) -> tuple[float, float]:
    """Redis's time in seconds, and how far ours is ahead of it: half the way there is no offset."""
    client.ping()  # connecting isn't part of the way
    before = time.time()
    seconds, micros = client.time()
    after = time.time()
    now = seconds + micros / 1e6
    return now, (before + after) / 2 - now


def _read(text: bytes, now: float) -> Heartbeat:
    fields = json.loads(text)
    for name in ("started_at", "beat_at", "doing_since"):
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    said = Heartbeat(**{**fields, "queues": tuple(fields["queues"])})
    return replace(said, age_s=max(0.0, now - said.beat_at.timestamp()))


def _key(name: str) -> str:
    return f"medimaging:heartbeat:{name}"


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _as_text(value: datetime) -> str:
    return value.isoformat()


def _running_s() -> float:
    """How long this process has run; measured without a clock that somebody may set."""
    stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    ticks = int(stat.rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _memory() -> int:
    process = psutil.Process()
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
