"""What the records app does by itself, now and then."""

from celery import shared_task

from records import services


@shared_task
def sweep_submissions() -> None:
    """End the uploads, and close the submissions, that their senders left half-way."""
    services.sweep_uploads()
    services.sweep_submissions()


@shared_task
def complete_idle_studies() -> None:
    """Complete studies to which nothing comes any more."""
    services.complete_idle_studies()
