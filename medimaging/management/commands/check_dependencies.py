"""`manage.py check_dependencies`: are pins exact, and does a known hole concern one of them?"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from medimaging.advisories import (
    AdvisoriesUnreadable,
    find_affected,
    read_advisories,
    read_pins,
)


class Command(BaseCommand):
    """Hold requirements/*.txt against a list of advisories; nothing is fetched."""

    help = "Check the pinned dependencies, with --advisories against known holes. Needs no network."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The list comes from osv.dev, by whatever way files come to this machine."""
        parser.add_argument(
            "--advisories",
            type=Path,
            help="all.zip of https://osv-vulnerabilities.storage.googleapis.com/PyPI/, a folder of "
            "its records, or one of them",
        )
        parser.add_argument(
            "--requirements",
            type=Path,
            nargs="+",
            default=sorted((settings.BASE_DIR / "requirements").glob("*.txt")),
            help="lock files; those of the product if left out",
        )

    def handle(self, *_: Any, advisories: Path | None, requirements: list[Path], **__: Any) -> None:
        """Report; ends with an error when anything was found."""
        pins, problems = [], []
        for path in requirements:
            found, loose = read_pins(path)
            pins += found
            problems += loose
        if not pins and not problems:
            raise CommandError("No pinned dependency was found.")
        said = "no advisories were given, so known holes were not looked for"
        if advisories:
            try:
                records = read_advisories(advisories)
            except AdvisoriesUnreadable as error:
                raise CommandError(str(error)) from error
            problems += [str(finding) for finding in find_affected(pins, records)]
            newest = max(str(record.get("modified", "")) for record in records)[:10]
            said = f"{len(records)} advisories, the newest of {newest or 'no date'}"
        if problems:
            raise CommandError("\n".join(problems))
        self.stdout.write(f"{len(pins)} pins are exact and have hashes; {said}")
