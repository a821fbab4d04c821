"""`manage.py hold_study`: a legal hold from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import KnownError
from records.models import LegalHold, Study
from records.services import hold_study, lift_hold


class Command(BaseCommand):
    """Does in the name of the system what administrators do on the page."""

    help = "Hold the study of a UID, or all of an accession number; or lift all their holds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("study", help="a Study Instance UID or an accession number")
        parser.add_argument("--reason", required=True, help="why, without the patient's name")
        parser.add_argument("--lift", action="store_true", help="lift the holds that stand")

    def handle(self, *args: Any, **options: Any) -> None:
        """Place or lift."""
        given, reason = options["study"], options["reason"]
        try:
            if options["lift"]:
                standing = LegalHold.objects.standing(study__in=Study.objects.named(given))
                count = len([lift_hold(actor=None, hold=hold, reason=reason) for hold in standing])
                self.stdout.write(f"{count} holds lifted.")
            else:
                count = len(hold_study(actor=None, given=given, reason=reason))
                self.stdout.write(f"{count} studies held.")
        except KnownError as error:
            raise CommandError(f"{error.message} {error.action}") from error
