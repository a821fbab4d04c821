"""`manage.py verify_backup DIR`: read a backup set again."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from medimaging.backup.embedded import database_running
from medimaging.backup.errors import BackupError
from medimaging.backup.verifying import Verified, verify_backup

SHOWN = 20


class Command(BaseCommand):
    """Ends with an error where something is damaged, so that a script notices."""

    help = "Compare dump and files of a backup with their hashes, and try its dump out if asked."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the backup set")
        parser.add_argument("--generation", default="", help="which one; the newest if not named")
        parser.add_argument("--all", action="store_true", help="every generation")
        parser.add_argument(
            "--restore-dump",
            action="store_true",
            help="also restore the dump into a database that is made for it and removed again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        arguments = {
            "place": options["directory"].absolute(),
            "generation": options["generation"],
            "everything": options["all"],
        }
        try:
            if options["restore_dump"]:
                with database_running():
                    done = verify_backup(**arguments, is_restored=True)
            else:
                done = verify_backup(**arguments)
        except BackupError as error:
            raise CommandError(f"{error.message} {error.action} [{error.code}]") from error
        self.report(done)

    def report(self, done: Verified) -> None:
        """What was read, and what is damaged."""
        for half in done.halves:
            self.stdout.write(f"{half} is half a backup; the next removes it.")
        size = filesizeformat(done.size_bytes)
        names = ", ".join(done.generations)
        self.stdout.write(f"Read {names}: {done.files} files ({size}).")
        if done.lacking:
            self.stdout.write(f"{done.lacking} files were lacking when they were made.")
        if done.restored_rows is not None:
            self.stdout.write(f"The dump was restored: {done.restored_rows} rows, as were dumped.")
        if done.problems:
            for path in done.problems[:SHOWN]:
                self.stderr.write(f"damaged\t{path}")
            raise CommandError(
                f"Damaged or missing: {len(done.problems)}. Remove those listed: the next backup "
                "copies them again, where the store still has them. [backup_damaged]"
            )
        self.stdout.write("Nothing is damaged.")
