"""`manage.py adopt_store`: use the store that is in place, whatever its marker says."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from records.errors import StoreUnavailable
from records.files.stores import adopt_store, begin_epoch


class Command(BaseCommand):
    help = (
        "Use the store of images that is in place from now on, though its marker is missing or "
        "names another database's, or it is older or newer than the database. For a store or a "
        "database that was restored or moved by hand."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say how to go on."""
        try:
            store_id = adopt_store()
            begin_epoch()
        except StoreUnavailable as error:
            raise CommandError(f"{error.message} Found: {error.reason}.") from error
        self.stdout.write(f"Store {store_id} is used. Run scrub_storage --all to look for gaps.")
