"""Telling the workers that a study waits: each priority has a queue of its own."""

from records import doorbell
from records.choices import Priority

TASK = "classifier.tasks.classify_next"
QUEUES = frozenset(Priority.values)


def ring(*, priority: str) -> bool:
    """Ask a worker to take what waits longest; False when the broker can't be reached."""
    return doorbell.ring(task=TASK, queue=priority, args=(priority,))
