"""Make the bundles on disk known to the product."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from classifier.services.versions import register_bundles


class Command(BaseCommand):
    """Register what `BUNDLE_DIR` holds; run at every start, it changes nothing twice."""

    help = "Verify and register the bundles under BUNDLE_DIR."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Deploying is a decision, so it is asked for."""
        parser.add_argument(
            "--deploy",
            action="store_true",
            help="Put a version into use for every task that never had one.",
        )

    def handle(self, *_: Any, deploy: bool, **__: Any) -> None:
        """Register and report."""
        versions, refusals = register_bundles(
            actor=None, root=Path(settings.BUNDLE_DIR), deploy=deploy
        )
        for version in versions:
            self.stdout.write(f"{version} ({version.stage}) {version.digest[:12]}")
        if refusals:
            raise CommandError("\n".join(f"{one.message} {one.action}" for one in refusals))
