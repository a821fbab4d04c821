"""One file on its way in: spooled, recognised, unpacked or converted, checked, filed."""

import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise

from django.conf import settings

from accounts.models import User
from accounts.roles import Verb
from records.choices import SubmissionState
from records.dicom.reading.sniff import PICTURES, Kind, sniff
from records.dicom.reading.values import clean_text
from records.dicom.writing.photograph import PhotographUids, assign_uids
from records.errors import (
    DepartmentUnknown,
    DiscFile,
    EmptyFile,
    FileRejected,
    IntakeFailed,
    PatientRequired,
    SubmissionEnded,
    UnknownFormat,
    ZipBomb,
)
from records.files.allowance import Allowance
from records.files.archive import expand
from records.files.leftovers import is_leftover
from records.files.sandboxed import sandbox
from records.files.spool import Readable, spooled
from records.files.stores import Spooled
from records.files.upload_handler import SpooledUpload
from records.models import Submission, SubmissionFile
from records.services.healing import FirstFiling, find_first_filing
from records.services.reception import Judged, Reception, failures_named, refusal_timed
from records.services.verdicts import Sent

Source = Readable | SpooledUpload | FileRejected
"""Where to read a file from, the file itself where it lies beside the store already, or why there
is nothing of it to read."""

NamedFile = tuple[str, Source]
"""What the sender calls a file, and its source."""

"""On a disc, whose images are DICOM, these are its viewer's."""


def receive_file(
    *, actor: User | None, submission: Submission, name: str, stream: Source
) -> list[SubmissionFile]:
    """Take one file into a submission; else as `receive_files`."""
    return receive_files(actor=actor, submission=submission, files=[(name, stream)])


def receive_files(
    *, actor: User | None, submission: Submission, files: Iterable[NamedFile]
) -> list[SubmissionFile]:
    """Take files into a submission and return the verdicts: many for a ZIP, else one.

    Else as `receive_each`.
    """
    groups = receive_each(actor=actor, submission=submission, files=files)
    return [judged.file for verdicts in groups for judged in verdicts]


def receive_each(
    *,
    actor: User | None,
    submission: Submission,
    files: Iterable[NamedFile],
    study_instance_uid: str = "",
) -> list[list[Judged]]:
    """Take files into a submission and return the verdicts on each.

    Objects of another study than `study_instance_uid`, if given, are refused, by their own header.
    Every file gets a verdict, whatever is wrong with it; of very many refused ones the last are
    not written one by one (`Refusals`). Raises IntakeFailed where one couldn't be taken by our own
    fault: it has no verdict, and what else there was is filed. Raises SubmissionEnded when the
    submission takes no more files, TooManyInOneRequest beyond those that one may have,
    DepartmentUnknown when the actor may not send there, and whatever `files` raises: what came
    before is filed then.
    """
    starts: list[int] = []
    with _receiving(actor, submission, study_instance_uid=study_instance_uid) as reception:
        for name, stream in files:
            if reception.is_full:
                raise reception.end_request()
            starts.append(reception.count)
            _receive(reception, _shown(name), stream)
    judged = reception.judged
    return [judged[start:end] for start, end in pairwise([*starts, len(judged)])]


def receive_spooled(
    *, actor: User | None, submission: Submission, name: str, file: Spooled
) -> list[SubmissionFile]:
    """Do what `receive_file` does with a file that lies beside the store already.

    Returns the verdicts that are written: where many are refused, the last counts the others.
    """
    with _receiving(actor, submission, is_one_file=True) as reception:
        _take(reception, _shown(name), file, allowance=Allowance(packed=file.size), depth=0)
    return reception.written


@contextmanager
def _receiving(
    actor: User | None,
    submission: Submission,
    *,
    is_one_file: bool = False,
    study_instance_uid: str = "",
) -> Iterator[Reception]:
    """What is ready when it ends, in whichever way, is filed; raises IntakeFailed after that."""
    check_may_submit(actor, submission)
    if submission.state != SubmissionState.RECEIVING:
        raise SubmissionEnded
    reception = Reception(
        actor, submission, is_one_file=is_one_file, study_instance_uid=study_instance_uid
    )
    try:
        yield reception
    finally:
        reception.end()
    reception.check()


def _receive(reception: Reception, name: str, stream: Source) -> None:
    try:
        with _on_disk(stream) as file:
            _take(reception, name, file, allowance=Allowance(packed=file.size), depth=0)
    except FileRejected as refusal:
        reception.refuse(Sent(name=name, size=0, sha256=""), refusal)


def _on_disk(stream: Source) -> AbstractContextManager[Spooled]:
    if isinstance(stream, FileRejected):
        raise stream
    if isinstance(stream, SpooledUpload):
        return stream.lent()
    return spooled(stream, limit=settings.INTAKE_MAX_FILE_BYTES)


def check_may_submit(actor: User | None, submission: Submission) -> None:
    """Refuse somebody who may not (any more) send to the submission's department."""
    if actor and not actor.has_verb_in(Verb.STUDY_SUBMIT, submission.department_id):
        raise DepartmentUnknown


def _shown(name: str) -> str:
    return clean_text(name) or "(no name)"


def _take(
    reception: Reception,
    name: str,
    file: Spooled,
    *,
    allowance: Allowance,
    depth: int,
    is_on_disc: bool = False,
) -> None:
    sent = Sent(name=name, size=file.size, sha256=file.sha256)
    try:
        with failures_named(reception.submission):
            reception.check_room()
            kind = _kind_of(reception, name, file, is_on_disc=is_on_disc)
            if kind is Kind.ZIP:
                _take_archive(reception, sent, file, allowance=allowance, depth=depth)
            elif kind is Kind.DICOM:
                reception.add(sent, kind, file, allowance)
            elif kind is Kind.BARE_DICOM:
                _take_bare_dicom(reception, sent, file, allowance)
            else:
                _take_photograph(reception, sent, file, kind, allowance)
    except FileRejected as refusal:
        if not isinstance(refusal, DiscFile):
            allowance.note_refusal()
        reception.refuse(sent, refusal)
    except IntakeFailed as failure:
        reception.fail(failure)


def _kind_of(reception: Reception, name: str, file: Spooled, *, is_on_disc: bool) -> Kind:
    """What a file is by its content; raises DiscFile for what a disc holds beside its images."""
    try:
        kind = sniff(file.path)
    except (EmptyFile, UnknownFormat) as refusal:
        if is_leftover(name, is_on_disc=is_on_disc or reception.is_of_disc()):
            raise DiscFile from refusal
        raise
    is_of_viewer = kind is Kind.ZIP and is_leftover(name, is_on_disc=is_on_disc)
    if is_of_viewer or (is_on_disc and kind in PICTURES):
        raise DiscFile
    return kind


def _take_archive(
    reception: Reception, sent: Sent, file: Spooled, *, allowance: Allowance, depth: int
) -> None:
    if depth > allowance.nesting:
        raise ZipBomb(detail="it is packed inside too many other archives")
    for entry in expand(file.path, allowance):
        reception.check_room()
        name = f"{sent.name}/{clean_text(entry.name)}"
        if entry.file is not None:
            _take(
                reception,
                name,
                entry.file,
                allowance=allowance,
                depth=depth + 1,
                is_on_disc=entry.is_on_disc,
            )
        elif entry.refusal is not None:
            reception.refuse(Sent(name=name, size=0, sha256=""), entry.refusal)


def _take_bare_dicom(reception: Reception, sent: Sent, file: Spooled, allowance: Allowance) -> None:
    with file.path.open("rb") as stream:
        with refusal_timed(allowance):
            wrapping = sandbox.find_wrapping(stream)
        stream.seek(0)
        with spooled(_Joined(wrapping, stream), limit=len(wrapping) + file.size) as wrapped:
            reception.add(sent, Kind.DICOM, wrapped, allowance)


class _Joined:
    """Some bytes, and a stream after them."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        first, self._first = self._first, b""
        return first or self._rest.read(size)


def _take_photograph(
    reception: Reception, sent: Sent, file: Spooled, kind: Kind, allowance: Allowance
) -> None:
    submission, declared = reception.submission, reception.declared
    if not declared.patient_id:
        raise PatientRequired
    filing = FirstFiling(declared, submission.department_id, submission.pk, number=0)
    uids = _uids_of(filing, file)
    reception.file()  # pictures are numbered in the order in which they were filed
    number = submission.files.filter(instance__isnull=False).count() + 1
    lost = find_first_filing(submission, sop_instance_uid=uids.instance, source_sha256=file.sha256)
    if lost is not None:
        declared, number, uids = lost.declared, lost.number, _uids_of(lost, file)
    with file.path.open("rb") as stream, refusal_timed(allowance):
        converted = sandbox.convert(stream, declared=declared, uids=uids, number=number)
    content = converted.content.data
    with spooled(io.BytesIO(content), limit=content.nbytes) as dicom_file:
        reception.add(sent, kind, dicom_file, allowance, converted.examined)


def _uids_of(filing: FirstFiling, file: Spooled) -> PhotographUids:
    return assign_uids(
        declared=filing.declared,
        department_id=filing.department_id,
        batch_id=filing.batch_id,
        sha256=file.sha256,
    )
