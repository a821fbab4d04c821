"""`manage.py migrate`, as whoever owns the tables, beside those who work with them."""

import contextlib
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import DatabaseError, OperationalError, connections

from classifier.services.model_state import announcements

LOCK_TIMEOUT_MS = 500
"""Less than PostgreSQL's deadlock_timeout (1 s): it is never the product that has to give way."""
ATTEMPTS = 60
PAUSE_S = 1.0
GAVE_WAY = frozenset({"55P03", "40P01"})
"""SQLSTATE of a lock that wasn't to be had in time, and of a deadlock."""


class Command(migrate.Command):
    """Django's own; where the settings name an owner, the owner migrates.

    The former release may go on working meanwhile. A migration that waits for its transactions
    gives way, is undone whole, and is tried again. An upgrade begins with it, so it says which
    model in use the new release doesn't have.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        if "owner" in settings.DATABASES:
            parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate; raises CommandError where the tables are never free."""
        for _ in range(ATTEMPTS):
            try:
                self._migrate(*args, **options)
            except OperationalError as error:
                if getattr(error.__cause__, "pgcode", None) not in GAVE_WAY:
                    raise
                self.stdout.write("The tables are in use; trying again.")
                time.sleep(PAUSE_S)
            else:
                self._announce_models(**options)
                return
        raise CommandError(
            f"The tables were in use for {ATTEMPTS * PAUSE_S:.0f} s. What is migrated stays; "
            "stop web, worker and dicom, and run it again."
        )

    def _migrate(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", [LOCK_TIMEOUT_MS])
        try:
            super().handle(*args, **options)
        finally:
            if connection.connection is not None and connection.is_usable():
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")

    def _announce_models(self, **options: Any) -> None:
        is_whole = not (options["app_label"] or options["plan"] or options["check_unapplied"])
        if is_whole and options["verbosity"]:
            with contextlib.suppress(DatabaseError):
                for line in announcements():
                    self.stdout.write(self.style.WARNING(line))
