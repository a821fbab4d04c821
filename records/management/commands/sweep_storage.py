"""`manage.py sweep_storage`: look through the whole store for files that no record points to."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from records.errors import StoreUnavailable
from records.files.stores import PREFIXES
from records.services import sweep_storage


class Command(BaseCommand):
    """Does at once what the task does in a day."""

    help = "Note the files that no record points to, and remove those noted long enough ago."

    def handle(self, *args: Any, **options: Any) -> None:
        """Walk and count."""
        try:
            done = sweep_storage(prefixes=PREFIXES)
        except StoreUnavailable as error:
            raise CommandError(f"{error.message} Found: {error.reason}.") from error
        self.stdout.write(f"{done.removed} files removed, {done.found} wait without a record.")
