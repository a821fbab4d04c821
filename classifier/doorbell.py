"""Telling the workers that there is something in the queue.

PostgreSQL holds the queue; the broker only rings. A lost ring costs time, because the
sweeper rings again; a second ring costs nothing, because a row can be claimed once.
"""

from uuid import UUID

from records import doorbell

TASK = "classifier.tasks.classify_study"


def ring(*, classification_id: UUID, priority: str) -> bool:
    """Ask a worker to look at one row; False when the broker can't be reached."""
    return doorbell.ring(task=TASK, row_id=classification_id, queue=priority)
