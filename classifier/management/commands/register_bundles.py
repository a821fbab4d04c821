"""Make the bundles on disk known to the product."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from classifier.errors import TrustedKeysInvalid
from classifier.services.versions import register_bundles

UNSIGNED = "not signed by a key that this site trusts: it can't be put into use"


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
        try:
            versions, refusals = register_bundles(
                actor=None, root=Path(settings.BUNDLE_DIR), deploy=deploy
            )
        except TrustedKeysInvalid as error:
            raise CommandError(f"{error.message} {error.action}") from error
        for version in versions:
            signer = f"signed by {version.signed_by}" if version.signed_by else UNSIGNED
            self.stdout.write(f"{version} ({version.stage}) {version.digest[:12]} {signer}")
        if refusals:
            raise CommandError("\n".join(f"{one.message} {one.action}" for one in refusals))
