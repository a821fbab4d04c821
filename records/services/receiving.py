"""One file on its way in: spooled, recognised, unpacked or converted, checked, filed."""

import io
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

from accounts.models import User
from accounts.roles import Verb
from records.errors import (
    DepartmentUnknown,
    FileRejected,
    PatientRequired,
    SubmissionEnded,
    TooManyFiles,
    UnexpectedFailure,
    ZipBomb,
)
from records.intake.archive import Allowance, expand
from records.intake.declared import DeclaredFields
from records.intake.header import read_header
from records.intake.photograph import as_dicom, assign_uids
from records.intake.preamble import missing_wrapping
from records.intake.proof import Exclusion, find_exclusion
from records.intake.sniff import Kind, sniff
from records.intake.storage import Readable, Spooled, spooled
from records.intake.values import clean_text
from records.models import Submission, SubmissionFile, SubmissionState
from records.services.filing import ReceivedObject, file_object, find_held
from records.services.verdicts import Sent, record_refusal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reception:
    """What stays the same for one file that was sent, however many it unpacks to."""

    actor: User | None
    submission: Submission
    declared: DeclaredFields
    allowance: Allowance


def receive_file(
    *, actor: User | None, submission: Submission, name: str, stream: Readable
) -> list[SubmissionFile]:
    """Take one file into a submission and return the verdicts: many for a ZIP, else one.

    Every file gets a verdict, whatever is wrong with it. Raises SubmissionEnded when the
    submission takes no more files, and DepartmentUnknown when the actor may not send there.
    """
    _check_receiving(actor, submission)
    try:
        with spooled(stream, limit=settings.INTAKE_MAX_FILE_BYTES) as file:
            return _receive(actor, submission, name, file)
    except FileRejected as refusal:
        reception = _reception(actor, submission)
        return [_refuse(reception, Sent(name=_shown(name), size=0, sha256=""), refusal)]


def receive_spooled(
    *, actor: User | None, submission: Submission, name: str, file: Spooled
) -> list[SubmissionFile]:
    """Do what `receive_file` does with a file that lies beside the store already."""
    _check_receiving(actor, submission)
    return _receive(actor, submission, name, file)


def check_may_submit(actor: User | None, submission: Submission) -> None:
    """Refuse somebody who may not (any more) send to the submission's department."""
    if actor and not actor.has_verb_in(Verb.STUDY_SUBMIT, submission.department_id):
        raise DepartmentUnknown


def _check_receiving(actor: User | None, submission: Submission) -> None:
    check_may_submit(actor, submission)
    if submission.state != SubmissionState.RECEIVING:
        raise SubmissionEnded


def _receive(
    actor: User | None, submission: Submission, name: str, file: Spooled
) -> list[SubmissionFile]:
    return list(_take(_reception(actor, submission), _shown(name), file, depth=0))


def _reception(actor: User | None, submission: Submission) -> _Reception:
    declared = DeclaredFields.from_json(submission.declared)
    return _Reception(actor, submission, declared, Allowance())


def _shown(name: str) -> str:
    return clean_text(name) or "(no name)"


def _take(
    reception: _Reception, name: str, file: Spooled, *, depth: int
) -> Iterator[SubmissionFile]:
    sent = Sent(name=name, size=file.size, sha256=file.sha256)
    try:
        _check_room(reception.submission)
        kind = sniff(file.path)
        if kind is Kind.ZIP:
            yield from _take_archive(reception, sent, file, depth=depth)
        elif kind is Kind.DICOM:
            yield _take_dicom(reception, sent, file)
        elif kind is Kind.BARE_DICOM:
            yield _take_bare_dicom(reception, sent, file)
        else:
            yield _take_photograph(reception, sent, file, kind)
    except FileRejected as refusal:
        yield _refuse(reception, sent, refusal)
    except SubmissionEnded:
        raise
    except Exception:
        reference = uuid.uuid4().hex[:12]
        logger.exception("File %s of submission %s", reference, reception.submission.pk)
        yield _refuse(reception, sent, UnexpectedFailure(reference=reference))


def _check_room(submission: Submission) -> None:
    if submission.files.count() >= settings.INTAKE_MAX_FILES:
        raise TooManyFiles(limit=settings.INTAKE_MAX_FILES)


def _take_archive(
    reception: _Reception, sent: Sent, file: Spooled, *, depth: int
) -> Iterator[SubmissionFile]:
    if depth > reception.allowance.nesting:
        raise ZipBomb(detail="it is packed inside too many other archives")
    for entry in expand(file.path, reception.allowance):
        name = f"{sent.name}/{clean_text(entry.name)}"
        if entry.file is not None:
            yield from _take(reception, name, entry.file, depth=depth + 1)
        elif entry.refusal is not None:
            yield _refuse(reception, Sent(name=name, size=0, sha256=""), entry.refusal)


def _take_dicom(reception: _Reception, sent: Sent, file: Spooled) -> SubmissionFile:
    header = read_header(file.path)
    held = find_held(
        reception.submission, sop_instance_uid=header.sop_instance_uid, sha256=sent.sha256
    )
    exclusion = Exclusion() if held else find_exclusion(file.path, header)
    return file_object(
        actor=reception.actor,
        submission=reception.submission,
        received=ReceivedObject(sent, Kind.DICOM, file, header, exclusion),
    )


def _take_bare_dicom(reception: _Reception, sent: Sent, file: Spooled) -> SubmissionFile:
    wrapping = missing_wrapping(file.path)
    with (
        file.path.open("rb") as stream,
        spooled(_Joined(wrapping, stream), limit=len(wrapping) + file.size) as wrapped,
    ):
        return _take_dicom(reception, sent, wrapped)


class _Joined:
    """Some bytes, and a stream after them."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        first, self._first = self._first, b""
        return first or self._rest.read(size)


def _take_photograph(
    reception: _Reception, sent: Sent, file: Spooled, kind: Kind
) -> SubmissionFile:
    submission, declared = reception.submission, reception.declared
    if not declared.patient_id:
        raise PatientRequired
    uids = assign_uids(
        declared=declared,
        department_id=submission.department_id,
        batch_id=submission.pk,
        sha256=file.sha256,
    )
    number = submission.files.filter(instance__isnull=False).count() + 1
    content = as_dicom(file.path, kind=kind, declared=declared, uids=uids, number=number)
    with spooled(io.BytesIO(content), limit=len(content)) as converted:
        header = read_header(converted.path)
        return file_object(
            actor=reception.actor,
            submission=submission,
            received=ReceivedObject(
                sent, kind, converted, header, find_exclusion(converted.path, header)
            ),
        )


def _refuse(reception: _Reception, sent: Sent, refusal: FileRejected) -> SubmissionFile:
    return record_refusal(
        actor=reception.actor, submission=reception.submission, sent=sent, refusal=refusal
    )
