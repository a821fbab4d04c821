"""What the records app does by itself, now and then, or when a row waits for it."""

import contextlib
import logging
from functools import partial

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from accounts.errors import KnownError, new_reference
from accounts.outages import is_database_outage
from records import services
from records.errors import ExportBroken, ExportTooSlow, StoreUnavailable
from records.files import stores
from records.files.stores import is_outage
from records.turns import Turn

logger = logging.getLogger(__name__)

ONE_EXPORT = Turn("one-export")
# While the store is away there is nothing to look after; its own line in the log says so.
waiting_for_store = partial(contextlib.suppress, StoreUnavailable)


@shared_task
def sweep_submissions() -> None:
    """End the uploads, and close the submissions, that their senders left half-way."""
    with waiting_for_store():
        services.sweep_uploads()
        services.sweep_submissions()


@shared_task
def complete_idle_studies() -> None:
    """Complete studies to which nothing comes any more."""
    services.complete_idle_studies()


@shared_task
def scrub_storage() -> None:
    """Read some stored files and compare them with their hashes."""
    with waiting_for_store():
        services.scrub_storage(seconds=settings.STORAGE_SCRUB_SECONDS)


@shared_task
def sweep_storage() -> None:
    """Look for files that no row points to, and remove those found long enough ago."""
    with waiting_for_store():
        services.sweep_storage()


@shared_task
def renew_epoch() -> None:
    """Give database and store a new epoch, and say in the log if one of them is older."""
    with waiting_for_store():
        stores.renew_epoch()


@shared_task
def apply_retention() -> None:
    """Destroy deleted studies whose retention has ended."""
    with waiting_for_store():
        services.apply_retention()


@shared_task
def prepare_next_export() -> None:
    """Make the de-identified copy that waits longest, or hold it back for a person.

    Of the processes of one worker only one does so at a time: the others are for what is short.
    """
    with ONE_EXPORT.held() as is_mine:
        export = services.claim_export() if is_mine else None
        if export is not None:
            _prepare(str(export.pk))
    if export is not None:
        # Whoever heard a bell meanwhile found the turn taken.
        with waiting_for_store():
            services.sweep_exports()


@shared_task
def prepare_export(export_id: str) -> None:
    """Take the bell of release 0.3, which named an export, for what it is: a bell."""
    prepare_next_export()


def _prepare(export_id: str) -> None:
    try:
        services.prepare_export(export_id=export_id, at_most=settings.EXPORT_MAX_IMAGES)
    except SoftTimeLimitExceeded:
        services.fail_export(export_id=export_id, error=ExportTooSlow())
    except StoreUnavailable:
        services.postpone_export(export_id=export_id)
    except KnownError as error:
        services.fail_export(export_id=export_id, error=error)
    except Exception as error:
        if is_database_outage(error):
            raise  # it goes on once the database is back, when the sweeper rings for it
        if is_outage(error):
            services.postpone_export(export_id=export_id)
            return
        reference = new_reference()
        logger.exception("export %s broke (reference %s)", export_id, reference)
        services.fail_export(export_id=export_id, error=ExportBroken(reference=reference))
        raise


@shared_task
def sweep_exports() -> None:
    """Ring again for exports that nobody has finished, and remove the files of old ones."""
    with waiting_for_store():
        services.sweep_exports()
    services.expire_exports()
    services.sweep_export_files()
