"""What the records app does by itself, now and then."""

from celery import shared_task
from django.conf import settings

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


@shared_task
def scrub_storage() -> None:
    """Read some stored files and compare them with their hashes."""
    services.scrub_storage(seconds=settings.STORAGE_SCRUB_SECONDS)


@shared_task
def sweep_storage() -> None:
    """Look for files that no row points to, and remove those found long enough ago."""
    services.sweep_storage()


@shared_task
def apply_retention() -> None:
    """Destroy deleted studies whose retention has ended."""
    services.apply_retention()
