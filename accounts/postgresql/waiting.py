"""How long a thread waits for PostgreSQL, which may have stopped without closing a connection.

A server that is stopped, or behind a link on which nothing moves, keeps its connections open, and
new ones too where it listens on a Unix socket. A query to it would last for ever, and no limit on
statements would help: the server is the one to keep it. A limit on this side would end honest long
queries. So whoever has waited a little has somebody ask whether the server answers anyone.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from django.db import connections
from psycopg2 import extensions

logger = logging.getLogger(__name__)

SILENCE_S = 0.25
"""After so long without a word a waiting thread has the server asked."""
ANSWER_S = 1.25
"""So long the server may take to let a new connection in, while nobody else hears from it."""
STILL_SILENT_S = 5.0
"""So long each further try lasts: it is answered as soon as the server goes on."""
AGAIN_S = 0.5
LOOK_S = 0.05
EVENTS = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}


class ServerSilent(psycopg2.OperationalError):
    """The server has said nothing for too long; it has not refused anything."""


class ServerWatch:
    """What this process knows of the server: when it was heard last, and whether it is silent.

    Nobody asks while all is well. Once a thread has waited for SILENCE_S, one thread per process
    opens a connection of its own. Any word of the server will do, also that it has too many. Is
    there none within ANSWER_S, and hears no other thread anything either, then the server is
    silent: who waits gives up, who comes is turned away at once, and the asking goes on.
    """

    def __init__(self) -> None:
        """Begin as if the server had just been heard."""
        self._lock = threading.Lock()
        self._asker: threading.Thread | None = None
        self._asking_since: float | None = None
        self._is_silent = False
        self._heard_at = time.monotonic()

    @property
    def is_silent(self) -> bool:
        """Whether the server answers nobody."""
        since = self._asking_since
        # Whoever asks may itself hang, where a name has to be resolved.
        hangs = since is not None and time.monotonic() - since > ANSWER_S + LOOK_S
        return self._is_silent or (hangs and since is not None and self._heard_at < since)

    def hear(self) -> None:
        """Note that the server has said something."""
        self._heard_at = time.monotonic()
        self._is_silent = False

    def suspect(self) -> None:
        """Have the server asked, unless somebody does already."""
        with self._lock:
            if self._asker is None or not self._asker.is_alive():
                self._asker = threading.Thread(
                    target=self._ask_until_it_answers, name="database-watch", daemon=True
                )
                self._asker.start()

    def _ask_until_it_answers(self) -> None:
        while True:
            began = self._asking_since = time.monotonic()
            has_answered = _answers(STILL_SILENT_S if self._is_silent else ANSWER_S)
            self._asking_since = None
            if has_answered or self._heard_at >= began:
                break
            if not self._is_silent:
                logger.error("database_unavailable: PostgreSQL says nothing: all are turned away")
            self._is_silent = True
            time.sleep(AGAIN_S)
        if self._is_silent:
            logger.warning("database_available: PostgreSQL answers again")
        self.hear()


watch = ServerWatch()


def is_server_silent() -> bool:
    """Whether the server is known to answer nobody at this moment."""
    return watch.is_silent


class _Patience(threading.local):
    """What this thread may wait for the server, where it may not wait as long as need be."""

    until = float("inf")
    is_asking = False


_patience = _Patience()


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Have whatever this thread asks of the server fail with ServerSilent after `seconds`."""
    before = _patience.until
    _patience.until = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _patience.until = before


def wait(connection: Any) -> None:
    """Wait for a connection as psycopg2 has it done; raises ServerSilent.

    An error that is raised here closes the connection: what comes later on it is nobody's answer.
    """
    patience = SILENCE_S
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), EVENTS[state])
        while not poller.poll(patience * 1000):
            _check_patience()
            patience = LOOK_S
    watch.hear()


def _check_patience() -> None:
    if time.monotonic() > _patience.until:
        raise ServerSilent("the server took too long")
    if not _patience.is_asking:
        watch.suspect()
        check_server()


def check_server() -> None:
    """Raise ServerSilent at once while the server is known to answer nobody."""
    if watch.is_silent and not _patience.is_asking:
        raise ServerSilent("the server says nothing")


def _answers(seconds: float) -> bool:
    """Whether the server lets a new connection in, or itself says why not, within `seconds`."""
    _patience.is_asking = True
    try:
        with waiting_at_most(seconds):
            psycopg2.connect(**connections["default"].get_connection_params()).close()
    except psycopg2.Error as error:
        return "FATAL" in str(error)
    return True


def _start_afresh() -> None:
    """Leave behind what the parent of this process knew, and the thread that asked for it."""
    global watch
    watch = ServerWatch()


os.register_at_fork(after_in_child=_start_afresh)
extensions.set_wait_callback(wait)
