"""What the records app does by itself, now and then."""

from celery import shared_task

from records import services


@shared_task
def sweep_submissions() -> None:
    """Close submissions that their senders left half-way."""
    services.sweep_submissions()
