"""`manage.py scrub_storage`: read stored files now and compare them with their hashes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from records.errors import StoreUnavailable
from records.models import Instance, QuarantinedFile
from records.services import scrub_storage


class Command(BaseCommand):
    """Ends with an error where a file is damaged, so that a script notices."""

    help = "Read stored files, those longest unread first, and report damaged and missing ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--all", action="store_true", help="also those read lately")
        parser.add_argument("--seconds", type=float, help="stop after so many seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, count, and list what is damaged."""
        try:
            done = scrub_storage(seconds=options["seconds"], everything=options["all"])
        except StoreUnavailable as error:
            raise CommandError(f"{error.message} Found: {error.reason}.") from error
        size = filesizeformat(done.size_bytes)
        self.stdout.write(f"{done.checked} files read ({size}), {done.damaged} damaged.")
        for rows in (Instance.with_withheld, QuarantinedFile.objects.held()):
            for kept in rows.damaged().order_by("file"):
                self.stdout.write(f"{kept.damage}\t{kept.file.name}")
        if done.damaged:
            raise CommandError("Restore the files listed above from a backup, and run this again.")
