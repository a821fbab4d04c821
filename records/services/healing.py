"""Files that were lost and come again: put back, their marks cleared, and told in the trail."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone
from pydicom.uid import UID

from accounts.audit import record_event
from accounts.models import User
from records.choices import Action, Damage, Verdict
from records.dicom.reading.declared import DeclaredFields
from records.errors import HeldFileLost
from records.files.open import is_whole
from records.models import (
    Instance,
    InstanceDescription,
    QuarantinedFile,
    Submission,
    SubmissionFile,
)
from records.services.verdicts import HEALED, ReceivedObject

Kept = Instance | QuarantinedFile
"""What has a file in the store."""


@dataclass(frozen=True, slots=True)
class FirstFiling:
    """How a picture was filed when it first came: all of which its DICOM file was made."""

    declared: DeclaredFields
    department_id: UUID
    batch_id: UUID
    number: int


def find_lost(submission: Submission, received: Sequence[ReceivedObject]) -> frozenset[UUID]:
    """Which of the instances that are held under the UIDs of `received` have no whole file.

    Costs a look at each file. Call it outside of any transaction. Raises StoreUnavailable.
    """
    uids = [one.header.sop_instance_uid for one in received]
    rows = Instance.with_withheld.stored().filter(sop_instance_uid__in=uids)
    ours = rows.filter(series__study__department=submission.department_id)
    return frozenset(row.pk for row in ours if not is_whole(row))


def lock_lost(held: Iterable[Instance], lost: frozenset[UUID]) -> set[UUID]:
    """Lock those of `held` that are in `lost`, and return which are still lost.

    Another sender may have been quicker. The rows are brought up to date. Raises StoreUnavailable.
    """
    wanted = {one.pk: one for one in held if one.pk in lost}
    if not wanted:
        return set()
    locking = Instance.with_withheld.select_for_update(no_key=True, of=("self",))
    still = set()
    # In one order whoever comes, so that two senders can't wait for each other.
    for now in locking.filter(pk__in=wanted).order_by("pk"):
        one = wanted[now.pk]
        one.damage, one.healed_at = now.damage, now.healed_at
        one.sha256, one.file, one.size_bytes = now.sha256, now.file, now.size_bytes
        if not is_whole(now):
            still.add(now.pk)
    return still


def check_takes_place(held: Instance, received: ReceivedObject) -> None:
    """Make sure that the file of an object can stand where a lost one stood: HeldFileLost."""
    series, header = held.series, received.header
    uids = (series.study.study_instance_uid, series.series_instance_uid)
    is_exact = received.file.sha256 == held.sha256
    if not is_exact and (header.study_instance_uid, header.series_instance_uid) != uids:
        raise held_file_lost(held, received)


def held_file_lost(held: Instance, received: ReceivedObject) -> HeldFileLost:
    """The refusal of an object that can't be compared with the lost one, and what would heal it.

    No digest of pixels is kept: only the same data set in the same transfer syntax is known again.
    """
    remedy = "Send the very file that was sent before."
    if received.header.transfer_syntax_uid != held.transfer_syntax_uid:
        syntax = UID(held.transfer_syntax_uid)
        remedy = f"Send it in the transfer syntax in which it was held: {syntax.name} ({syntax})."
    return HeldFileLost(
        study=held.series.study,
        held_sha256=held.source_sha256,
        received_sha256=received.source.sha256,
        remedy=remedy,
    )


def heal_instance(
    *, actor: User | None, submission: Submission, held: Instance, received: ReceivedObject
) -> None:
    """Have a locked instance point to the file of an object, which the caller has published.

    Where the file is written in another way, its hash and size are the instance's from now on. Rows
    whose file has the same content are whole again too.
    """
    before, problem = held.sha256, Damage(held.damage) or Damage.MISSING
    file = received.file
    if file.sha256 != before:
        held.sha256, held.size_bytes, held.file = file.sha256, file.size, file.name
        held.data_set_sha256 = received.data_set_sha256
        held.save(update_fields=["sha256", "size_bytes", "file", "data_set_sha256"])
        InstanceDescription.objects.filter(instance=held).delete()
    _note_whole(held)
    replaced = {"replaced_sha256": before} if file.sha256 != before else {}
    came = {"submission": str(submission.pk), "source_sha256": received.source.sha256}
    _record_healed(held, problem, actor=actor, **came, **replaced)
    for kind in (Instance.with_withheld.select_related("series__study"), _quarantined()):
        rows = kind.damaged().filter(file=file.name).exclude(pk=held.pk)
        for other in rows.select_for_update(skip_locked=True, no_key=True, of=("self",)):
            note_healed(other)


def note_healed(kept: Kept) -> None:
    """Note that a file that was damaged or missing is whole again. The caller has looked."""
    problem = Damage(kept.damage)
    _note_whole(kept)
    _record_healed(kept, problem, actor=None)


def find_first_filing(
    submission: Submission, *, sop_instance_uid: str, source_sha256: str
) -> FirstFiling | None:
    """How a picture that came again was filed first, where the file made of it then is lost."""
    held = Instance.with_withheld.stored().filter(
        sop_instance_uid=sop_instance_uid,
        source_sha256=source_sha256,
        series__study__department=submission.department_id,
    )
    found = held.first()
    if found is None or is_whole(found):
        return None
    verdicts = SubmissionFile.objects.filter(instance=found, verdict=Verdict.STORED)
    first = verdicts.select_related("submission").exclude(code=HEALED).first()
    if first is None:
        return None
    return FirstFiling(
        declared=DeclaredFields.from_json(first.submission.declared),
        department_id=first.submission.department_id,
        batch_id=first.submission.pk,
        number=found.instance_number or 1,
    )


def _quarantined() -> Any:
    return QuarantinedFile.objects.held().select_related("submission")


def _note_whole(kept: Kept) -> None:
    kept.damage = Damage.NONE
    kept.checked_at = kept.healed_at = timezone.now()
    kept.save(update_fields=["damage", "checked_at", "healed_at"])


def _record_healed(kept: Kept, problem: Damage, *, actor: User | None, **details: str) -> None:
    record_event(
        action=Action.STORAGE_HEALED,
        actor=actor,
        target=kept,
        **kept.file_owner,
        details={"problem": problem.label.lower(), "sha256": kept.sha256, **details},
    )
