"""Telling the workers that there is something in the queue.

PostgreSQL holds the queue; the broker only rings. A lost ring costs time, because the
sweeper rings again; a second ring costs nothing, because a row can be claimed once.
"""

import logging
from uuid import UUID

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

TASK = "classifier.tasks.classify_study"


def ring(*, classification_id: UUID, priority: str) -> bool:
    """Ask a worker to look at one row; False when the broker can't be reached."""
    try:
        current_app.send_task(TASK, args=[str(classification_id)], queue=priority)
    except (OperationalError, OSError) as error:
        logger.warning("the broker can't be reached (%s); the sweeper will ring again", error)
        return False
    return True
