"""`manage.py backup DIR`: save the database and every file that its rows name."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from medimaging.backup.embedded import database_running
from medimaging.backup.errors import BackupError
from medimaging.backup.making import Made, make_backup

KEYS = (
    "Keys are in no backup. Copy .env (and secret-key of the data directory, where there is one) "
    "to another place than this."
)
SHOWN = 20


class Command(BaseCommand):
    """Ends with an error where something lacks, so that a script notices."""

    help = (
        "Save the database and the files to a backup set; files that it holds aren't copied again."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the backup set; an empty one is prepared")
        parser.add_argument("--keep", type=_positive, help="remove all but the newest so many")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with database_running():
                made = make_backup(place=options["directory"].absolute(), keep=options["keep"])
        except BackupError as error:
            raise CommandError(f"{error.message} {error.action} [{error.code}]") from error
        self.report(made)

    def report(self, made: Made) -> None:
        """What was saved, what was new, and what lacks."""
        size, dump = filesizeformat(made.size_bytes), filesizeformat(made.dump_bytes)
        new = filesizeformat(made.copied_bytes)
        self.stdout.write(f"Backup {made.generation} in {made.seconds:.1f} s.")
        self.stdout.write(f"Database: {made.rows} rows, dump of {dump}.")
        self.stdout.write(f"Files: {made.files} ({size}), of which {made.copied} new ({new}).")
        if made.generations_removed:
            self.stdout.write(
                f"Removed: {made.generations_removed} older backups, {made.files_removed} files."
            )
        self.stdout.write(KEYS)
        if made.lacking:
            for one in made.lacking[:SHOWN]:
                self.stderr.write(f"{one.reason}\t{one.place}/{one.name}")
            raise CommandError(
                "Everything else was saved. Missing or damaged in the store, and in no earlier "
                f"backup: {len(made.lacking)}. See `manage.py scrub_storage`. [files_lacking]"
            )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("at least one has to stay")
    return number
