"""Telling the workers that something waits for them; PostgreSQL holds the rows, the broker rings.

A bell names no row: whoever hears it takes what waits longest. So a bell that still lies there
serves for everything that came since, a second one is not rung beside it, and what the broker
holds is bounded by the number of queues and workers, however much waits.
"""

import logging
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ring(*, task: str, queue: str, args: tuple[str, ...] = (), at_most: int = 1) -> bool:
    """Ask a worker to look for work, unless `at_most` bells lie in `queue` already.

    False when the broker can't be reached. A lost bell costs time, because a sweeper rings again;
    a second one costs nothing, because each row can be taken once.
    """
    try:
        with current_app.producer_or_acquire() as producer:
            failures = producer.connection.connection_errors + producer.connection.channel_errors
            try:
                if count_bells(producer, queue) < at_most:
                    current_app.send_task(task, args=args, queue=queue, producer=producer)
            except (OperationalError, *failures) as error:
                _note_failure(error)
                return False
    except (OperationalError, OSError) as error:
        _note_failure(error)
        return False
    return True


def count_bells(producer: Any, queue: str) -> int:
    """How many bells lie in a queue, unheard."""
    return int(producer.channel.queue_declare(queue=queue).message_count)


def _note_failure(error: Exception) -> None:
    logger.warning("the broker can't be reached (%s); the sweeper will ring again", error)
