"""`manage.py restore DIR`: bring a backup back into an empty installation."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from medimaging.backup.embedded import database_running
from medimaging.backup.errors import BackupError
from medimaging.backup.restoring import restore_backup

SHOWN = 20


class Command(BaseCommand):
    """Can be run again where it was ended half-way."""

    help = "Bring files and database back from a backup set, migrate, and check both."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the backup set")
        parser.add_argument("--generation", default="", help="which one; the newest if not named")
        parser.add_argument(
            "--replace", action="store_true", help="the installation is in use, and may go"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with database_running():
                done = restore_backup(
                    place=options["directory"].absolute(),
                    generation=options["generation"],
                    replace=options["replace"],
                )
        except BackupError as error:
            raise CommandError(f"{error.message} {error.action} [{error.code}]") from error
        self.stdout.write(
            f"Backup {done.generation} (release {done.release}) is back after {done.seconds:.1f} s."
        )
        self.stdout.write(f"Database: {done.rows} rows, as many in each table as were dumped.")
        if done.migrations:
            self.stdout.write(f"{done.migrations} migrations of this release were applied.")
        size = filesizeformat(done.size_bytes)
        there = done.files - done.put - len(done.damaged)
        self.stdout.write(
            f"Files: {done.files} ({size}), every hash compared; {there} were there already."
        )
        if done.damaged:
            for path in done.damaged[:SHOWN]:
                self.stderr.write(f"damaged\t{path}")
            raise CommandError(
                "Everything else is back. Damaged or missing in the backup: "
                f"{len(done.damaged)} of {done.files} files. Run `scrub_storage --all`, which "
                "marks their images. [files_lacking]"
            )
        if done.lacking:
            self.stdout.write(
                f"{done.lacking} files were lacking when it was made: run `scrub_storage --all`."
            )
