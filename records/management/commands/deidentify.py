"""`manage.py deidentify`: studies as a data set that names nobody; the only way out to training."""

import csv
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts.errors import KnownError
from accounts.models import User
from records.choices import ExportState
from records.dicom.deidentification import Options, Pseudonyms
from records.dicom.deidentification.packing import unpack_data_set
from records.models import Export, Study
from records.services import hand_out_export, prepare_export, request_export
from records.services.project_keys import project_key

OPTIONS = ("retain_dates", "retain_device", "retain_patient")
LABEL_COLUMNS = {"study", "label"}


class Command(BaseCommand):
    """Makes an export, or takes one that is ready, and writes it as a folder.

    Images that may carry writing hold the whole export back until a person has looked at them
    on its page; the command is then run again with `--export`.
    """

    help = "Write studies as a de-identified data set: DICOM images and labels.csv."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--user", required=True, help="who exports, by user name")
        parser.add_argument("--out", required=True, type=Path, help="a new or empty folder")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--studies", nargs="+", help="ids or Study Instance UIDs")
        which.add_argument("--export", type=UUID, help="the id of an export that was held back")
        parser.add_argument("--project", default="", help="whose pseudonyms to use")
        parser.add_argument("--purpose", default="data set", help="for the audit trail")
        parser.add_argument(
            "--labels", type=Path, help="a CSV file: study (Study Instance UID), label"
        )
        for name in OPTIONS:
            parser.add_argument(f"--{name.replace('_', '-')}", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        """Make or find the export, and write it."""
        user = User.objects.named(options["user"]).first()
        if user is None:
            raise CommandError(f"Nobody has the user name {options['user']}.")
        out: Path = options["out"]
        if out.exists() and any(out.iterdir()):
            raise CommandError(f"{out} isn't empty.")
        try:
            export = _find(user, options["export"]) if options["export"] else _make(user, options)
            _check_ready(export)
            hand_out_export(actor=user, export=export)
        except KnownError as error:
            raise CommandError(f"{error.message} {error.action}") from error
        labels = _labels(options["labels"], export.project) if options["labels"] else {}
        with export.file.open("rb") as stream:
            count = unpack_data_set(stream, out, labels=labels)
        self.stdout.write(f"{count} images in {out}, {len(export.left_out)} objects left out")


def _find(user: User, pk: UUID) -> Export:
    export = Export.objects.visible_to(user).filter(pk=pk).first()
    if export is None:
        raise CommandError("There is no such export.")
    return _prepared(export)


def _make(user: User, options: dict[str, Any]) -> Export:
    if not options["project"]:
        raise CommandError("--project is needed: it decides the pseudonyms.")
    names = options["studies"]
    ids = [name for name in names if "-" in name]
    visible = Study.objects.visible_to(user)
    studies = list(visible.filter(Q(pk__in=ids) | Q(study_instance_uid__in=names)))
    if len(studies) != len(set(names)):
        raise CommandError(f"Only {len(studies)} of {len(set(names))} studies were found.")
    export = request_export(
        actor=user,
        studies=studies,
        project=options["project"],
        purpose=options["purpose"],
        options=Options(**{name: options[name] for name in OPTIONS}),
        is_queued=False,
    )
    return _prepared(export)


def _prepared(export: Export) -> Export:
    """The export as it stands after its work, done here unless a worker has done it."""
    return prepare_export(export_id=export.pk) or Export.objects.get(pk=export.pk)


def _check_ready(export: Export) -> None:
    if export.state == ExportState.HELD:
        waiting = export.holds.filter(decided_at=None).count()
        raise CommandError(
            f"{waiting} images may carry writing. Have somebody look at them on the page "
            f"{export.get_absolute_url()}, then run again with --export {export.pk}."
        )
    if export.state == ExportState.FAILED:
        raise CommandError(export.failure)


def _labels(path: Path, project: str) -> dict[str, str]:
    """Labels by the pseudonym of their study in this project."""
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    if rows and not set(rows[0]) >= LABEL_COLUMNS:
        raise CommandError(f"{path} has no columns {sorted(LABEL_COLUMNS)}.")
    pseudonyms = Pseudonyms(project_key(project), subject="")
    return {pseudonyms.uid(row["study"]): row["label"] for row in rows}
