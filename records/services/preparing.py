"""The work on a de-identified copy: every image read, looked at, cleaned and packed."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO
from uuid import UUID

from django.core.files import File
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from accounts.audit import record_event
from accounts.choices import Outcome
from accounts.errors import KnownError
from records.choices import Action, ExportState
from records.dicom.deidentification import (
    Pseudonyms,
    Rectangle,
    Suspicion,
    blacken,
    deidentify,
    find_suspicion,
    open_image,
)
from records.dicom.deidentification.packing import DataSet, packed_data_set
from records.errors import ExportEmpty, ExportRefused, ExportUnreadable, NotAcceptable
from records.files.sending import file_pieces
from records.files.spool import spool_directory
from records.models import Export, ExportHold, Instance
from records.services.export_files import remove_export_file
from records.services.exports import record_exported
from records.services.project_keys import project_key

CHUNK_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """One run over an export's images."""

    key: bytes
    decided: dict[UUID, list[Rectangle]]
    held: list[tuple[Instance, Suspicion]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)


def prepare_export(*, export_id: UUID | str, at_most: int | None = None) -> Export | None:
    """Prepare a copy, or hold it back for a person to look; None where there is nothing to do.

    Works outside any transaction and is safe to run twice: who comes second finds the export
    in another state, and what it has made is thrown away. An export of more than `at_most`
    images is left to whoever has the time.
    """
    waiting = Export.objects.of_kept_studies().filter(state=ExportState.PREPARING)
    export = waiting.filter(pk=export_id).first()
    if export is None or (at_most is not None and _instances_of(export).count() > at_most):
        return None
    holds = export.holds.exclude(decided_at=None)
    decided = {hold.instance_id: [Rectangle(*one) for one in hold.blackened] for hold in holds}
    work = _Work(project_key(export.project), decided)
    with tempfile.TemporaryFile(dir=spool_directory()) as stream:
        with packed_data_set(stream, source=export.project) as data_set:
            for instance in _instances_of(export).iterator():
                Export.objects.filter(pk=export.pk).update(touched_at=timezone.now())
                _take(work, export, instance, data_set)
        if work.held:
            return _hold(export, work)
        if not data_set.rows:
            return fail_export(export_id=export.pk, error=ExportEmpty(), left_out=work.left_out)
        return _finish(export, work, stream, count=len(data_set.rows))


@transaction.atomic
def fail_export(
    *, export_id: UUID | str, error: KnownError, left_out: Sequence[dict[str, str]] = ()
) -> Export | None:
    """End an export that can't be made, with the error that its page shows."""
    export = _lock(export_id)
    if export is None:
        return None
    export.state = ExportState.FAILED
    export.failure_code, export.failure = error.code, f"{error.message} {error.action}"
    export.left_out = list(left_out)
    export.save(update_fields=["state", "failure_code", "failure", "left_out"])
    _record_blocked(export, error.code, Outcome.SERIOUS_FAILURE)
    return export


def _instances_of(export: Export) -> QuerySet[Instance]:
    rows = Instance.objects.filter(series__study__exports=export)
    order = ("series__study", "series__series_number", "series", "slice_position")
    return rows.select_related("series__study").order_by(*order, "instance_number", "pk")


def _take(work: _Work, export: Export, instance: Instance, data_set: DataSet) -> None:
    """Put one image into the copy, or note why it stays out of it."""
    try:
        image = _open(instance)
        if instance.pk in work.decided:
            blacken(image, work.decided[instance.pk])
        elif suspicion := find_suspicion(image):
            work.held.append((instance, suspicion))
            return
        if work.held:
            return
        study = instance.series.study
        pseudonyms = Pseudonyms(work.key, subject=str(study.patient_id))
        content = deidentify(image, options=export.options, pseudonyms=pseudonyms)
    except ExportRefused as refusal:
        work.left_out.append({"instance": str(instance.pk), "code": refusal.code})
        return
    data_set.add(
        content, patient=pseudonyms.patient, study=pseudonyms.uid(study.study_instance_uid)
    )


def _open(instance: Instance) -> Dataset:
    """Read an image that was unpacked in an isolated child.

    Raises ExportNotAnImage and ExportUnreadable, StoredFileMissing, StoredFileDamaged and
    StoreUnavailable.
    """
    with tempfile.TemporaryFile(dir=spool_directory()) as plain:
        try:
            for piece in file_pieces(instance, ExplicitVRLittleEndian):
                plain.write(piece)
        except (EOFError, NotAcceptable) as error:
            raise ExportUnreadable from error
        plain.seek(0)
        return open_image(plain)


@transaction.atomic
def _hold(export: Export, work: _Work) -> Export | None:
    if (locked := _lock(export.pk)) is None:
        return None
    ExportHold.objects.bulk_create(
        ExportHold(
            export=locked,
            instance=instance,
            cause=suspicion.cause,
            regions=[region.as_list() for region in suspicion.regions],
        )
        for instance, suspicion in work.held
    )
    locked.state = ExportState.HELD
    locked.left_out = work.left_out
    locked.save(update_fields=["state", "left_out"])
    reason = f"{len(work.held)} image(s) may carry writing"
    _record_blocked(locked, reason, Outcome.MINOR_FAILURE)
    return locked


def _finish(export: Export, work: _Work, stream: BinaryIO, *, count: int) -> Export | None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    hashed = hashlib.sha256()
    for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
        hashed.update(chunk)
    digest = hashed.hexdigest()
    storage = Export._meta.get_field("file").storage
    stream.seek(0)
    name = storage.save(f"exports/{export.pk}/{digest}.zip", File(stream))
    made = {"sha256": digest, "size_bytes": size, "image_count": count}
    finished = _write_ready(export, work, {**made, "file": name})
    if finished is None:
        remove_export_file(name)
    return finished


@transaction.atomic
def _write_ready(export: Export, work: _Work, made: dict[str, object]) -> Export | None:
    if (locked := _lock(export.pk)) is None:
        return None
    for name, value in {**made, "left_out": work.left_out, "ready_at": timezone.now()}.items():
        setattr(locked, name, value)
    locked.state = ExportState.READY
    locked.save()
    record_exported(locked, actor=locked.requested_by, step="made")
    return locked


def _lock(export_id: UUID | str) -> Export | None:
    """The export under its lock, unless somebody has brought it further, or deleted a study."""
    rows = Export.objects.of_kept_studies().select_for_update(no_key=True, of=("self",))
    return rows.filter(pk=export_id, state=ExportState.PREPARING).first()


def _record_blocked(export: Export, reason: str, outcome: Outcome) -> None:
    record_event(
        action=Action.EXPORT_BLOCKED,
        actor=None,
        target=export,
        department_id=export.department_id,
        outcome=outcome,
        details={"reason": reason},
    )
