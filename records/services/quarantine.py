"""Files that contradict what is held: kept apart whole, handed out and discarded by hand only."""

from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.choices import Outcome
from accounts.models import User
from records.choices import Action, QuarantineReason, QuarantineState
from records.errors import (
    AwaitsDecision,
    QuarantineEnded,
    StudyGone,
    StudyPatientMismatch,
    UidConflict,
)
from records.files.spool import publish
from records.models import QuarantinedFile, Study, Submission, SubmissionFile
from records.services.conflicts import raise_study_conflict
from records.services.identity import Whose
from records.services.reasons import clean_reason
from records.services.verdicts import ReceivedObject, record_refusal


def quarantine_file(
    *,
    actor: User | None,
    submission: Submission,
    received: ReceivedObject,
    refusal: UidConflict | StudyPatientMismatch,
) -> SubmissionFile:
    """Refuse a file with its verdict, keep its bytes, and raise the conflict that it belongs to.

    The same bytes are kept once, however often they are sent. Raises DiskFull. The caller holds
    the transaction.
    """
    study, conflict = cast(Study, refusal.context["study"]), None
    if isinstance(refusal, StudyPatientMismatch):
        conflict = raise_study_conflict(
            actor=actor,
            study=study,
            whose=cast(Whose, refusal.context["whose"]),
            differing=cast(list[str], refusal.context["differing"]),
        )
    verdict = record_refusal(
        actor=actor, submission=submission, sent=received.source, refusal=refusal
    )
    publish([received.file])
    kept, is_new = QuarantinedFile.objects.get_or_create(
        sop_instance_uid=received.header.sop_instance_uid,
        sha256=received.file.sha256,
        department=submission.department,
        state=QuarantineState.HELD,
        defaults={
            "reason": QuarantineReason.IDENTITY if conflict else QuarantineReason.UID,
            "submission": submission,
            "verdict": verdict,
            "conflict": conflict,
            "held_sha256": str(refusal.context.get("held_sha256", "")),
            **_description(received),
            "file": received.file.name,
        },
    )
    if is_new:
        record_quarantined(actor=actor, file=kept, study=study)
    return verdict


def _description(received: ReceivedObject) -> dict[str, Any]:
    header = received.header
    return {
        "series_instance_uid": header.series_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "source_sha256": received.source.sha256,
        "source_format": received.source_format,
        "size_bytes": received.file.size,
        "number_of_frames": header.geometry.frames,
    }


def record_quarantined(*, actor: User | None, file: QuarantinedFile, study: Study) -> None:
    """Note that a file is kept apart, and both hashes where it contradicts another file."""
    record_event(
        action=Action.FILE_QUARANTINED,
        actor=actor,
        target=file,
        study=study,
        outcome=Outcome.MINOR_FAILURE,
        details={
            "reason": file.reason,
            "received_sha256": file.source_sha256,
            "held_sha256": file.held_sha256,
            "size_bytes": file.size_bytes,
        },
    )


@transaction.atomic
def discard_quarantined(*, actor: User, file: QuarantinedFile, reason: str) -> QuarantinedFile:
    """Give up a quarantined file for good; its row, hashes and reason stay.

    Raises QuarantineEnded, StudyGone, ReasonMissing and ReasonTooLong, and AwaitsDecision while a
    conflict may still need it. The caller has checked that the actor may.
    """
    reason = clean_reason(reason)
    locked = QuarantinedFile.objects.of_kept_studies().select_for_update(of=("self",))
    found = locked.filter(pk=file.pk).first()
    if found is None:
        raise StudyGone
    file = found
    if file.state != QuarantineState.HELD:
        raise QuarantineEnded
    if file.conflict is not None and file.conflict.is_open:
        raise AwaitsDecision
    file.state = QuarantineState.DISCARDED
    file.file = ""
    file.ended_by, file.ended_at, file.ended_reason = actor, timezone.now(), reason
    file.save(update_fields=["state", "file", "ended_by", "ended_at", "ended_reason"])
    record_event(
        action=Action.QUARANTINE_DISCARDED,
        actor=actor,
        target=file,
        department_id=file.submission.department_id,
        details={"reason": reason, "received_sha256": file.source_sha256},
    )
    return file
