"""What the records app does by itself, now and then, or when a row waits for it."""

import logging
import uuid

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from records import services
from records.errors import ExportBroken, ExportTooSlow

logger = logging.getLogger(__name__)


@shared_task
def sweep_submissions() -> None:
    """Close submissions that their senders left half-way."""
    services.sweep_submissions()


@shared_task
def complete_idle_studies() -> None:
    """Complete studies to which nothing comes any more."""
    services.complete_idle_studies()


@shared_task
def prepare_export(export_id: str) -> None:
    """Make a de-identified copy, or hold it back for a person."""
    try:
        services.prepare_export(export_id=export_id, at_most=settings.EXPORT_MAX_IMAGES)
    except SoftTimeLimitExceeded:
        services.fail_export(export_id=export_id, error=ExportTooSlow())
    except Exception:
        reference = uuid.uuid4().hex[:12]
        logger.exception("export %s broke (reference %s)", export_id, reference)
        services.fail_export(export_id=export_id, error=ExportBroken(reference=reference))
        raise


@shared_task
def sweep_exports() -> None:
    """Ring again for exports that nobody has finished."""
    services.sweep_exports()
