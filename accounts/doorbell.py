"""Telling the workers that a row waits for them; PostgreSQL holds the row, the broker rings."""

import logging
from uuid import UUID

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ring(*, task: str, row_id: UUID, queue: str) -> bool:
    """Ask a worker to look at one row; False when the broker can't be reached.

    A lost ring costs time, because a sweeper rings again; a second one costs nothing.
    """
    try:
        current_app.send_task(task, args=[str(row_id)], queue=queue)
    except (OperationalError, OSError) as error:
        logger.warning("the broker can't be reached (%s); the sweeper will ring again", error)
        return False
    return True
