"""The verdict on each file: a row that stays, with its audit event. No names in events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.audit import prepare_event, record_event, record_events
from accounts.choices import Outcome
from accounts.models import AuditEvent, User
from records.choices import Action, Verdict
from records.dicom.reading.header import DicomHeader
from records.dicom.reading.proof import Exclusion
from records.errors import FileRejected
from records.files.stores import Spooled
from records.metrics import count_verdict
from records.models import IdentityConflict, Instance, Patient, Study, Submission, SubmissionFile
from records.services.identity import Whose

MESSAGE_LENGTH = 1000
ACTION_LENGTH = 400
NAME_LENGTH = 255
HEALED = "healed"
"""The code of the verdict on a file that took the place of one that was lost."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One file as it was sent."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReceivedObject:
    """A DICOM object ready to be filed; `source` is the file that was sent.

    `document` is its description, b"" where that is made only if somebody asks for it; `remarks`
    are sentences for its verdict.
    """

    source: Sent
    source_format: str
    file: Spooled
    header: DicomHeader
    exclusion: Exclusion
    data_set_sha256: str = ""
    document: bytes = b""
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class HeldVerdict:
    """The verdict on a file that is held now, and its event: not written yet."""

    row: SubmissionFile
    event: AuditEvent


def record_verdicts(verdicts: Sequence[HeldVerdict]) -> list[SubmissionFile]:
    """Write verdicts and their events, inside the caller's transaction."""
    rows = SubmissionFile.objects.bulk_create(verdict.row for verdict in verdicts)
    record_events(verdict.event for verdict in verdicts)
    for row in rows:
        count_verdict(row)
    return rows


def judge_stored(
    *,
    actor: User | None,
    submission: Submission,
    sent: Sent,
    instance: Instance,
    whose: Whose,
    remarks: Sequence[str] = (),
) -> HeldVerdict:
    """The verdict on a file that was stored, and what is worth knowing about it."""
    code, notes, action = _identity_notes(instance.series.study, whose)
    if instance.undecoded:
        code = "text_undecodable"
        notes.append(
            "Some of its text can't be decoded by the character set that it declares "
            f"({', '.join(sorted(instance.undecoded))}); the bytes are kept."
        )
        action = action or "Compare the names with the request, and correct the sending device."
    if instance.exclusion:
        code = instance.exclusion
        reason = instance.exclusion_reason
        notes.append(f"Not classifiable: {reason[:1].lower()}{reason[1:]}")
    notes += remarks
    return _judge_held(
        actor,
        submission,
        sent,
        instance,
        verdict=Verdict.STORED,
        audit_action=Action.FILE_STORED,
        code=code,
        message=" ".join(["Stored.", *notes]),
        action=action,
    )


def _identity_notes(study: Study, whose: Whose) -> tuple[str, list[str], str]:
    """Code, notes and remedy for what is worth knowing about whose a stored file is."""
    patient = study.patient
    if not patient.is_identified:
        note = f"It names no patient; a temporary record was made ({patient.mrn})."
        remedy = "Send the study again with its patient ID once you know it."
        return "patient_unknown", [note], remedy
    if study.is_in_question and _open_conflict_of(patient):
        note = (
            f"Patient ID {patient.mrn} is held for another person; the study has a record of "
            "its own until somebody decides."
        )
        remedy = "Check whom it shows, and decide under Conflicts."
        return "identity_in_question", [note], remedy
    if whose.ignored_patient_id:
        note = (
            f"It was filed under patient ID {whose.patient_id}, which the file states, "
            f"and not under {whose.ignored_patient_id}, which was entered."
        )
        return "other_patient_id", [note], "Check which patient was examined."
    return "stored", [], ""


def _open_conflict_of(patient: Patient) -> bool:
    return IdentityConflict.objects.open().filter(sent_patient=patient).exists()


def judge_duplicate(
    *, actor: User | None, submission: Submission, sent: Sent, instance: Instance
) -> HeldVerdict:
    """The verdict on a file whose object was held already; what is held stays as it is."""
    is_very_file = sent.sha256 in (instance.source_sha256, instance.sha256)
    message = "This very file is already held."
    if not is_very_file:
        message = "The same object is already held; it was written in another way."
    return _judge_held(
        actor,
        submission,
        sent,
        instance,
        verdict=Verdict.DUPLICATE,
        audit_action=Action.FILE_DUPLICATE,
        code="duplicate",
        message=message,
        action="",
    )


def judge_healed(
    *, actor: User | None, submission: Submission, sent: Sent, instance: Instance
) -> HeldVerdict:
    """The verdict on a file that took the place of one that was lost."""
    return _judge_held(
        actor,
        submission,
        sent,
        instance,
        verdict=Verdict.STORED,
        audit_action=Action.FILE_STORED,
        code=HEALED,
        message="Stored. The file of this image was damaged or missing; this one took its place.",
        action="",
    )


def record_refusal(
    *, actor: User | None, submission: Submission, sent: Sent, refusal: FileRejected
) -> SubmissionFile:
    """Record why a file was refused."""
    study = refusal.context.get("study")
    hashes = {
        key: value
        for key, value in refusal.context.items()
        if key in ("held_sha256", "received_sha256", "taken")
    }
    row = make_refusal(submission=submission, sent=sent, refusal=refusal)
    with transaction.atomic():
        row.save(force_insert=True)
        count_verdict(row)
        record_event(
            action=Action.FILE_REJECTED,
            actor=actor,
            target=row,
            study=study,
            department_id=submission.department_id,
            outcome=Outcome.MINOR_FAILURE,
            details=_details(submission, sent, code=refusal.code) | hashes,
        )
    return row


def make_refusal(*, submission: Submission, sent: Sent, refusal: FileRejected) -> SubmissionFile:
    """The row of a refusal, not written."""
    return _make_row(
        submission,
        sent,
        verdict=Verdict.LEFT_OUT if refusal.is_left_out else Verdict.REJECTED,
        code=refusal.code,
        message=refusal.message,
        action=refusal.action,
        held_in=refusal.context.get("held_in"),
    )


def _judge_held(
    actor: User | None,
    submission: Submission,
    sent: Sent,
    instance: Instance,
    *,
    verdict: Verdict,
    audit_action: Action,
    code: str,
    message: str,
    action: str,
) -> HeldVerdict:
    study = instance.series.study
    row = _make_row(
        submission,
        sent,
        verdict=verdict,
        code=code,
        message=message,
        action=action,
        instance=instance,
        study=study,
    )
    event = prepare_event(
        action=audit_action,
        actor=actor,
        target=instance,
        study=study,
        details=_details(submission, sent, code=code),
    )
    return HeldVerdict(row, event)


def _make_row(
    submission: Submission, sent: Sent, *, message: str, action: str, **values: Any
) -> SubmissionFile:
    return SubmissionFile(
        submission=submission,
        name=sent.name[-NAME_LENGTH:],
        size_bytes=sent.size,
        sha256=sent.sha256,
        message=message[:MESSAGE_LENGTH],
        action=action[:ACTION_LENGTH],
        **values,
    )


def _details(submission: Submission, sent: Sent, *, code: str) -> dict[str, Any]:
    return {
        "submission": str(submission.pk),
        "sha256": sent.sha256,
        "size_bytes": sent.size,
        "code": code,
    }
