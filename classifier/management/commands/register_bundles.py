"""Make the bundles on disk known to the product."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from classifier.errors import BundleDirMissing, TrustedKeysInvalid
from classifier.services.model_state import announcements
from classifier.services.versions import register_bundles

UNSIGNED = "not signed by a key that this site trusts: it can't be put into use"


class Command(BaseCommand):
    """Register and keep what `BUNDLE_DIR` holds; run at every start, it changes nothing twice."""

    help = "Verify and register the bundles under BUNDLE_DIR."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Deploying is a decision, so it is asked for."""
        parser.add_argument(
            "--deploy",
            action="store_true",
            help="Put a version into use where a task never had one, or where it answers alike. "
            "Any other stays out of use until a person decides on the page Models; which, is said.",
        )

    def handle(self, *_: Any, deploy: bool, **__: Any) -> None:
        """Register and report."""
        try:
            found = register_bundles(actor=None, root=Path(settings.BUNDLE_DIR), deploy=deploy)
        except (BundleDirMissing, TrustedKeysInvalid) as error:
            self.announce()
            raise CommandError(f"{error.message} {error.action}") from error
        for version in found.versions:
            signer = f"signed by {version.signed_by}" if version.signed_by else UNSIGNED
            self.stdout.write(f"{version} ({version.stage}) {version.digest[:12]} {signer}")
        for version in found.carried:
            self.stdout.write(f"model_carried_over: {version} took over: it answers alike.")
        for version, why in found.left_out:
            self.stdout.write(f"model_not_deployed: {version} was not put into use: {why}.")
        self.announce()
        if found.refusals:
            raise CommandError("\n".join(f"{one.message} {one.action}" for one in found.refusals))

    def announce(self) -> None:
        """Say loudly, at each start, which model is missing and which newer one waits."""
        for line in announcements():
            self.stdout.write(self.style.WARNING(line))
