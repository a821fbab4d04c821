"""`manage.py apply_retention`: what the retention rules say, shown or done."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from records.models import Study
from records.services import apply_retention


class Command(BaseCommand):
    """Lists studies by their UIDs: no patient's data on the terminal."""

    help = "Destroy deleted studies whose time has come, and delete those past RETENTION_YEARS."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--list", action="store_true", help="only list the studies past RETENTION_YEARS"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or apply."""
        if options["list"]:
            for study in Study.objects.past_retention().iterator():
                day = study.study_date or study.received_at.date()
                self.stdout.write(f"{day}\t{study.study_instance_uid}")
            return
        done = apply_retention()
        self.stdout.write(f"{done['deleted']} studies deleted, {done['purged']} destroyed.")
