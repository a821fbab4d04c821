"""`manage.py migrate`, as whoever owns the tables."""

import contextlib
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import DatabaseError

from classifier.services.model_state import announcements


class Command(migrate.Command):
    """Django's own; where the settings name an owner, the owner migrates.

    An upgrade begins with it, so it says which model in use the new release doesn't have.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        if "owner" in settings.DATABASES:
            parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        is_whole = not (options["app_label"] or options["plan"] or options["check_unapplied"])
        if is_whole and options["verbosity"]:
            with contextlib.suppress(DatabaseError):
                for line in announcements():
                    self.stdout.write(self.style.WARNING(line))
