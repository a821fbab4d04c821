"""What the product as a whole does by itself, now and then."""

from celery import shared_task

from medimaging.conditions import conditions


@shared_task
def note_conditions() -> None:
    """Say in the log what has begun to be wrong, and what is right again."""
    conditions.look()
