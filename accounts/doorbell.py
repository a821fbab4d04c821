"""Telling the workers that something waits for them; PostgreSQL holds the rows, the broker rings.

A bell names no row: whoever hears it takes what waits longest. So a bell that still lies there
serves for everything that came since, a second one is not rung beside it, and what the broker
holds is bounded by the number of queues, however much waits.

A lost ring costs time, because a sweeper rings again; a second one costs nothing. So nobody waits
for the broker: a broker that is away, or that says nothing, may take seconds to be found out.
"""

import atexit
import logging
import os
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from accounts.broker import connect

logger = logging.getLogger(__name__)

PATIENCE_S = 0.05
"""So long a caller waits to hear whether it has rung."""
AGAIN_S = 1.0
"""So often one thread of a process asks a broker that is away whether it is back."""
ANSWER_S = 1.0
MOST_WAITING = 1000
FAREWELL_S = 1.0
AWAY = (OperationalError, OSError, redis.RedisError)


def ring(*, task: str, queue: str, args: tuple[str, ...] = (), at_most: int = 1) -> bool:
    """Ask a worker to look for work, unless `at_most` bells lie in `queue` already.

    False unless a bell is known to lie there now.

    Returns within PATIENCE_S, and at once while the broker is known to be away.
    """
    return _ringer.ring(Bell(task, args, queue, at_most))


def count_bells(producer: Any, queue: str) -> int:
    """How many bells lie in a queue, unheard."""
    return int(producer.channel.queue_declare(queue=queue).message_count)


def finish_ringing() -> None:
    """Return once what waits has been rung, if that doesn't take longer than FAREWELL_S."""
    _ringer.finish()


@dataclass(frozen=True)
class Bell:
    """What is to be rung, and whether it has been."""

    task: str
    args: tuple[str, ...]
    queue: str
    at_most: int
    has_rung: Future[bool] = field(default_factory=Future)


class Ringer:
    """Rings for all threads of a process, one bell after the other, in a thread of its own.

    A bell that can't be rung, and all that wait behind it, are dropped. Then nobody tries before
    the broker has answered a ping.
    """

    def __init__(self) -> None:
        """Start nothing yet: the first bell does."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: queue.Queue[Bell] = queue.Queue(MOST_WAITING)
        self._is_away = False
        self._is_slow = False

    def ring(self, bell: Bell) -> bool:
        """Have a bell rung; False unless that has been done within PATIENCE_S."""
        if self._is_away:
            return False
        self._start()
        try:
            self._waiting.put_nowait(bell)
        except queue.Full:
            return False
        if self._is_slow:
            return False  # whoever came before has waited for all of us
        try:
            return bell.has_rung.result(PATIENCE_S)
        except TimeoutError:
            self._is_slow = True
            return False

    def finish(self) -> None:
        """Let what waits be rung before the process ends, if that doesn't take long."""
        deadline = time.monotonic() + FAREWELL_S
        while self._waiting.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            bell = self._waiting.get()
            try:
                _send(bell)
            except AWAY as error:
                self._drop(bell)
                self._wait_for_broker(error)
            except Exception:
                logger.exception("a bell of %s can't be rung", bell.task)
                self._drop(bell)
            else:
                self._is_slow = False
                bell.has_rung.set_result(True)
                self._waiting.task_done()

    def _drop(self, bell: Bell) -> None:
        bell.has_rung.set_result(False)
        self._waiting.task_done()

    def _wait_for_broker(self, error: Exception) -> None:
        self._is_away = True
        logger.error(
            "redis_unavailable: the broker can't be reached (%s); the sweeper will ring again",
            type(error).__name__,
        )
        while True:
            while not self._waiting.empty():
                self._drop(self._waiting.get())
            if _answers():
                break
            time.sleep(AGAIN_S)
        self._is_away = self._is_slow = False
        logger.warning("redis_available: the broker answers again")


def _send(bell: Bell) -> None:
    with current_app.producer_or_acquire() as producer:
        if count_bells(producer, bell.queue) < bell.at_most:
            current_app.send_task(bell.task, bell.args, queue=bell.queue, producer=producer)


def _answers() -> bool:
    """Whether the broker answers a ping within ANSWER_S."""
    try:
        with connect(timeout_s=ANSWER_S) as client:
            return bool(client.ping())
    except (OSError, redis.RedisError):
        return False


_ringer = Ringer()


def _start_afresh() -> None:
    """Leave the thread, and what waits for it, to the parent of this process."""
    global _ringer
    _ringer = Ringer()


os.register_at_fork(after_in_child=_start_afresh)
atexit.register(finish_ringing)
