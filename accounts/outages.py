"""Which errors mean that the database is away, and how work waits until it is back."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2
from django.db import DatabaseError, InterfaceError, OperationalError, connection

Found = TypeVar("Found")
logger = logging.getLogger(__name__)

OUTAGE_CLASSES = ("08", "53", "57P")
"""Beginnings of SQLSTATE: the connection failed; the server has no connection, memory or disk left
for us; it is starting, stopping or was shut down by somebody."""

READ_ONLY = "25006"
"""It takes no writes: a standby before its promotion, or a primary that was set so."""

LOOK_AGAIN_S = 1.0

_last_met_at = float("-inf")


def is_database_outage(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that the database is away for now.

    Waiting helps then, and nobody's request was wrong. A connection that fails without an SQLSTATE
    counts: refused, cut, silent, its host unknown, and a server that doesn't let us in. Whatever
    else a database refuses (a constraint, a statement, a deadlock, a limit on time) is an error.
    """
    while error is not None:
        if isinstance(error, psycopg2.Error):
            return _is_outage(error)
        if isinstance(error, InterfaceError) and error.__cause__ is None:
            return True  # Django's own word for a connection that is closed
        error = error.__cause__
    return False


def _is_outage(error: psycopg2.Error) -> bool:
    if error.pgcode:
        return error.pgcode.startswith(OUTAGE_CLASSES) or error.pgcode == READ_ONLY
    if isinstance(error, psycopg2.InterfaceError):
        return "closed" in str(error)
    # libpq has no class of its own for an answer that was cut off.
    return isinstance(error, psycopg2.OperationalError) or type(error) is psycopg2.DatabaseError


def note_outage() -> None:
    """Remember that this process met an outage at this moment."""
    global _last_met_at
    _last_met_at = time.monotonic()


def was_database_away(*, within_s: float) -> bool:
    """Whether this process met an outage in the last `within_s` seconds."""
    return time.monotonic() - _last_met_at < within_s


def outlast(act: Callable[[], Found]) -> Found:
    """Do something that may be done twice; after an outage do it again once that has ended.

    For work that nobody waits for: it waits as long as its own time limit allows.
    """
    while True:
        try:
            return act()
        except (DatabaseError, InterfaceError) as error:
            if not is_database_outage(error):
                raise
            note_outage()
            logger.warning("database_unavailable: waiting for PostgreSQL")
            _wait_for_database()


def _wait_for_database() -> None:
    while True:
        connection.close_if_unusable_or_obsolete()
        time.sleep(LOOK_AGAIN_S)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except (OperationalError, InterfaceError):
            continue
        return
