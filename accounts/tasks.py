"""What the accounts app does by itself, now and then."""

from celery import shared_task

from accounts import services


@shared_task
def tell_tallies() -> None:
    """Tell what left in the minutes that are over."""
    services.tell_tallies()
