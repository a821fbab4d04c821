"""`manage.py release`: which release this is (`manage.py version` is Django's own)."""

from typing import Any

from django.core.management.base import BaseCommand

from medimaging.release import VERSION


class Command(BaseCommand):
    help = "Print the number of this release."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(VERSION)
