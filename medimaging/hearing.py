"""A worker, or beat, that no longer hears the broker ends, and whoever started it starts it anew.

A broken connection is Celery's business: it connects again. A stalled one, on which nothing
moves and nothing fails, and a loop that waits for nothing any more, are seen only by what doesn't
come. So a thread beside them asks for proof: an answer on the very connection on which work
arrives, however small, or a study in hand.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

import psutil
import redis
from celery import bootsteps
from celery.worker import state
from django.conf import settings

from accounts.processes import process_name
from medimaging import heartbeats

logger = logging.getLogger(__name__)

EXIT_DEAF = os.EX_TEMPFAIL
"""With this a deaf process ends: nothing is wrong with it that a fresh start doesn't mend."""

START_S = 120.0
"""So long a process may take to start before it counts as deaf."""

STOPPED_S = 2.0
"""A wait that took so much longer than meant shows that the whole process was stopped."""

LAST_WORDS_S = 10.0
"""So long what is in hand may take to end in order; what is left goes back by its lease."""

GOODBYE_S = 3.0
"""So long an idle worker may take to end in order."""

ASKING_S = 0.5
"""So often a worker that is to stop asks whether its broker is still there."""


class Hearing:
    """Since when this process has had no proof that the broker reaches it.

    `is_seeking` while it has no connection and tries to get one: then it is deaf only if the
    broker answers others.
    """

    def __init__(self) -> None:
        self.is_seeking = True
        self._patience_s = START_S
        self._heard_at = time.monotonic()
        self._over = threading.Event()

    def hear(self) -> None:
        """Take note of a proof."""
        self._heard_at = time.monotonic()
        self._patience_s = settings.DEAF_AFTER_SECONDS

    def connected(self) -> None:
        """Take note that work arrives from now on."""
        self.is_seeking = False
        self.hear()

    def lost(self) -> None:
        """Take note that the connection is gone, which isn't deafness."""
        self.is_seeking = True

    def end(self) -> None:
        """Watch no more, because the process ends in order."""
        self._over.set()
        with suppress(redis.RedisError):
            heartbeats.fall_silent()

    def wait(self) -> bool:
        """Wait until it is time to look again; True when the watch is over.

        Whoever was stopped meanwhile (a debugger, a sleeping machine) has heard nothing either,
        and isn't deaf for it.
        """
        begun = time.monotonic()
        is_over = self._over.wait(settings.HEARTBEAT_SECONDS)
        if time.monotonic() - begun > settings.HEARTBEAT_SECONDS + STOPPED_S:
            self.hear()
        return is_over

    @property
    def silence_s(self) -> float:
        """Seconds since the last proof."""
        return time.monotonic() - self._heard_at

    @property
    def is_deaf(self) -> bool:
        """Tell whether nothing was heard for longer than a living link allows."""
        return self.silence_s > self._patience_s


def keep_watch(
    hearing: Hearing,
    *,
    on_deaf: Callable[[], None],
    queues: tuple[str, ...] = (),
    work: Callable[[], heartbeats.Work | None] = lambda: None,
) -> threading.Thread:
    """Have a thread say that this process lives, until it is deaf; then call `on_deaf` and end."""
    thread = threading.Thread(
        target=_watch, args=(hearing, on_deaf, queues, work), name="watch", daemon=True
    )
    thread.start()
    return thread


def _watch(
    hearing: Hearing,
    on_deaf: Callable[[], None],
    queues: tuple[str, ...],
    work: Callable[[], heartbeats.Work | None],
) -> None:
    clock = heartbeats.ClockWatch()
    while not hearing.is_deaf:
        try:
            clock.note(heartbeats.beat(queues=queues, work=work()))
        except heartbeats.UNSAID:
            if hearing.is_seeking:
                hearing.hear()
        if hearing.wait():
            return
    logger.critical(
        "broker_deaf: %s has heard nothing of Redis for %.0f s and ends, to be started anew",
        process_name(),
        hearing.silence_s,
    )
    on_deaf()


class WorkerWatch(bootsteps.StartStopStep):
    """Watches a worker from the moment that its processes are there."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        worker.hearing = Hearing()

    def start(self, worker: Any) -> None:
        queues = tuple(worker.app.amqp.queues.consume_from)
        keep_watch(worker.hearing, on_deaf=_end_worker, queues=queues, work=_work_in_hand)

    def stop(self, worker: Any) -> None:
        worker.hearing.end()


class ConsumerWatch(bootsteps.StartStopStep):
    """Takes the proofs where they come: at the connection that brings a worker its tasks."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._on_tick: Callable[..., None] | None = None

    def start(self, consumer: Any) -> None:
        hearing: Hearing = consumer.controller.hearing
        channel = consumer.task_consumer.channel
        read = channel.handlers["BRPOP"]

        def read_and_hear(**options: Any) -> Any:
            try:
                answer = read(**options)
            except Empty:  # nothing waits, says Redis
                hearing.hear()
                raise
            hearing.hear()
            return answer

        def hear_if_busy(**_: Any) -> None:
            # With its hands full a worker asks for nothing, and its loop turns all the same.
            if state.reserved_requests and not channel.qos.can_consume():
                hearing.hear()

        channel.handlers["BRPOP"] = read_and_hear
        self._on_tick = hear_if_busy
        consumer.hub.on_tick.add(hear_if_busy)
        hearing.connected()

    def stop(self, consumer: Any) -> None:
        consumer.hub.on_tick.discard(self._on_tick)
        consumer.controller.hearing.lost()


def _work_in_hand() -> heartbeats.Work | None:
    for request in tuple(state.active_requests):
        if request.time_start:
            return heartbeats.Work(request.name, max(0.0, time.time() - request.time_start))
    return None


def _end_worker() -> None:
    """Ask the worker to end in order, and end it if it can't."""
    state.should_stop = EXIT_DEAF
    begun = time.monotonic()
    while time.monotonic() - begun < (LAST_WORDS_S if state.reserved_requests else GOODBYE_S):
        time.sleep(0.2)
    end_now()


def see_to_the_end() -> None:
    """Have a thread see to it that a worker which was asked to stop ends, its broker or no.

    Celery waits for what is in hand, and then for a broker to tell. Where whoever started the
    worker has died, its broker has too, and nobody is left who would end it by force.
    """
    threading.Thread(target=_end_when_alone, name="last words", daemon=True).start()


def _end_when_alone() -> None:
    heard_at = time.monotonic()
    while time.monotonic() - heard_at < LAST_WORDS_S:
        with suppress(redis.RedisError, OSError), heartbeats.connect() as client:
            client.ping()
            heard_at = time.monotonic()
        time.sleep(ASKING_S)
    logger.critical(
        "broker_gone: %s was asked to stop and has had no Redis for %.0f s: it ends as it is",
        process_name(),
        LAST_WORDS_S,
    )
    end_now()


def end_now() -> None:
    """End this process with all that it started."""
    logging.shutdown()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(EXIT_DEAF)
