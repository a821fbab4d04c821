"""One file on its way in: spooled, recognised, unpacked or converted, checked, filed."""

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from django.conf import settings

from accounts.errors import new_reference
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
from records.intake.isolation.calls import convert, examine, find_wrapping
from records.intake.isolation.jobs import Examined
from records.intake.photograph import assign_uids
from records.intake.sniff import Kind, sniff
from records.intake.storage import Readable, keep_file, spooled
from records.intake.upload_handler import SpooledUpload
from records.intake.values import clean_text
from records.models import Submission, SubmissionFile, SubmissionState
from records.services.filing import file_objects
from records.services.verdicts import ReceivedObject, Sent, record_refusal
from records.stores import Spooled

logger = logging.getLogger(__name__)


Source = Readable | SpooledUpload
"""Where to read a file from, or the file itself where it lies beside the store already."""

NamedFile = tuple[str, Source]
"""What the sender calls a file, and its source."""

EXAMINED_AT_ONCE = 2
FILED_AT_ONCE = 32
FILED_AT_ONCE_BYTES = 64 * 1024 * 1024


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
    return [verdict for verdicts in groups for verdict in verdicts]


def receive_each(
    *, actor: User | None, submission: Submission, files: Iterable[NamedFile]
) -> list[list[SubmissionFile]]:
    """Take files into a submission and return the verdicts on each.

    Every file gets a verdict, whatever is wrong with it. Raises SubmissionEnded when the
    submission takes no more files, DepartmentUnknown when the actor may not send there, and
    whatever `files` raises: what came before is filed then.
    """
    starts: list[int] = []
    with _receiving(actor, submission) as reception:
        for name, stream in files:
            starts.append(reception.count)
            _receive(reception, _shown(name), stream)
    verdicts = reception.verdicts
    return [verdicts[start:end] for start, end in pairwise([*starts, len(verdicts)])]


def receive_spooled(
    *, actor: User | None, submission: Submission, name: str, file: Spooled
) -> list[SubmissionFile]:
    """Do what `receive_file` does with a file that lies beside the store already."""
    with _receiving(actor, submission) as reception:
        _take(reception, _shown(name), file, allowance=Allowance(), depth=0)
    return reception.verdicts


@contextmanager
def _receiving(actor: User | None, submission: Submission) -> Iterator["_Reception"]:
    """What is ready when it ends, in whichever way, is filed."""
    check_may_submit(actor, submission)
    if submission.state != SubmissionState.RECEIVING:
        raise SubmissionEnded
    reception = _Reception(actor, submission)
    try:
        yield reception
    finally:
        reception.end()


def _receive(reception: "_Reception", name: str, stream: Source) -> None:
    try:
        with _on_disk(stream) as file:
            _take(reception, name, file, allowance=Allowance(), depth=0)
    except FileRejected as refusal:
        reception.refuse(Sent(name=name, size=0, sha256=""), refusal)


def _on_disk(stream: Source) -> AbstractContextManager[Spooled]:
    if isinstance(stream, SpooledUpload):
        return stream.lent()
    return spooled(stream, limit=settings.INTAKE_MAX_FILE_BYTES)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An object that is being examined, and the place among the verdicts kept for its own."""

    sent: Sent
    kind: Kind
    file: Spooled
    examined: Future[Examined]
    place: int

    def received(self) -> ReceivedObject:
        """Wait for the examination; raises what it found wrong."""
        found = self.examined.result()
        return ReceivedObject(self.sent, self.kind, self.file, found.header, found.exclusion)


class _Reception:
    """Files on their way into a submission: those that are ready are filed some at a time.

    While one is examined, in a child, the next may come.
    """

    def __init__(self, actor: User | None, submission: Submission) -> None:
        self.actor = actor
        self.submission = submission
        self.declared = DeclaredFields.from_json(submission.declared)
        self._room = settings.INTAKE_MAX_FILES - submission.files.count()
        self._verdicts: list[SubmissionFile | None] = []
        self._waiting: list[_Waiting] = []
        self._examiners = ThreadPoolExecutor(EXAMINED_AT_ONCE, "examiner")

    @property
    def count(self) -> int:
        """How many verdicts there are, or will be on what has come so far."""
        return len(self._verdicts)

    @property
    def verdicts(self) -> list[SubmissionFile]:
        """The verdicts on what was filed or refused, in the order in which it came."""
        return [verdict for verdict in self._verdicts if verdict is not None]

    def check_room(self) -> None:
        """Refuse a file beyond those that a submission may have; raises TooManyFiles."""
        if self.count >= self._room:
            raise TooManyFiles(limit=settings.INTAKE_MAX_FILES)

    def add(self, sent: Sent, kind: Kind, file: Spooled, examined: Examined | None = None) -> None:
        """Keep an object, whose file becomes ours, until there are enough to be filed."""
        file = replace(file, path=keep_file(file))
        if examined is None:
            # With the caller's context: the log says to which request a line belongs.
            run = copy_context().run
            future = self._examiners.submit(run, _examine, self.submission, file.path)
        else:
            future = Future()
            future.set_result(examined)
        self._waiting.append(_Waiting(sent, kind, file, future, len(self._verdicts)))
        self._verdicts.append(None)
        size = sum(waiting.file.size for waiting in self._waiting)
        if len(self._waiting) >= FILED_AT_ONCE or size >= FILED_AT_ONCE_BYTES:
            self.file()

    def refuse(self, sent: Sent, refusal: FileRejected) -> None:
        """Record why a file was refused, after the verdicts on those that came before it."""
        self.file()
        self._verdicts.append(self._record(sent, refusal))

    def file(self) -> None:
        """File what is ready; raises SubmissionEnded."""
        waiting, self._waiting = self._waiting, []
        ready: dict[int, ReceivedObject] = {}
        try:
            for one in waiting:
                try:
                    ready[one.place] = one.received()
                except FileRejected as refusal:
                    self._file(ready)
                    ready.clear()
                    self._verdicts[one.place] = self._record(one.sent, refusal)
            self._file(ready)
        finally:
            for one in waiting:
                one.examined.cancel()
                one.file.path.unlink(missing_ok=True)

    def end(self) -> None:
        """File what is ready, and let go of the threads."""
        try:
            self.file()
        finally:
            self._examiners.shutdown()

    def _file(self, ready: Mapping[int, ReceivedObject]) -> None:
        """File objects by the places that are kept for their verdicts."""
        if not ready:
            return
        received = list(ready.values())
        try:
            with _failures_named(self.submission):
                verdicts = file_objects(
                    actor=self.actor, submission=self.submission, received=received
                )
        except UnexpectedFailure as refusal:
            if len(ready) > 1:
                for place, one in ready.items():
                    self._file({place: one})
                return
            verdicts = [self._record(received[0].source, refusal)]
        for place, verdict in zip(ready, verdicts, strict=True):
            self._verdicts[place] = verdict

    def _record(self, sent: Sent, refusal: FileRejected) -> SubmissionFile:
        return record_refusal(
            actor=self.actor, submission=self.submission, sent=sent, refusal=refusal
        )


def _examine(submission: Submission, path: Path) -> Examined:
    with _failures_named(submission), path.open("rb") as stream:
        return examine(stream)


@contextmanager
def _failures_named(submission: Submission) -> Iterator[None]:
    """Have an error of ours refuse the file, and find the one in the log by the other."""
    try:
        yield
    except (FileRejected, SubmissionEnded):
        raise
    except Exception as error:
        reference = new_reference()
        logger.exception("File %s of submission %s", reference, submission.pk)
        raise UnexpectedFailure(reference=reference) from error


def check_may_submit(actor: User | None, submission: Submission) -> None:
    """Refuse somebody who may not (any more) send to the submission's department."""
    if actor and not actor.has_verb_in(Verb.STUDY_SUBMIT, submission.department_id):
        raise DepartmentUnknown


def _shown(name: str) -> str:
    return clean_text(name) or "(no name)"


def _take(
    reception: _Reception, name: str, file: Spooled, *, allowance: Allowance, depth: int
) -> None:
    sent = Sent(name=name, size=file.size, sha256=file.sha256)
    try:
        with _failures_named(reception.submission):
            reception.check_room()
            kind = sniff(file.path)
            if kind is Kind.ZIP:
                _take_archive(reception, sent, file, allowance=allowance, depth=depth)
            elif kind is Kind.DICOM:
                reception.add(sent, kind, file)
            elif kind is Kind.BARE_DICOM:
                _take_bare_dicom(reception, sent, file)
            else:
                _take_photograph(reception, sent, file, kind)
    except FileRejected as refusal:
        reception.refuse(sent, refusal)


def _take_archive(
    reception: _Reception, sent: Sent, file: Spooled, *, allowance: Allowance, depth: int
) -> None:
    if depth > allowance.nesting:
        raise ZipBomb(detail="it is packed inside too many other archives")
    for entry in expand(file.path, allowance):
        name = f"{sent.name}/{clean_text(entry.name)}"
        if entry.file is not None:
            _take(reception, name, entry.file, allowance=allowance, depth=depth + 1)
        elif entry.refusal is not None:
            reception.refuse(Sent(name=name, size=0, sha256=""), entry.refusal)


def _take_bare_dicom(reception: _Reception, sent: Sent, file: Spooled) -> None:
    with file.path.open("rb") as stream:
        wrapping = find_wrapping(stream)
        stream.seek(0)
        with spooled(_Joined(wrapping, stream), limit=len(wrapping) + file.size) as wrapped:
            reception.add(sent, Kind.DICOM, wrapped)


class _Joined:
    """Some bytes, and a stream after them."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        first, self._first = self._first, b""
        return first or self._rest.read(size)


def _take_photograph(reception: _Reception, sent: Sent, file: Spooled, kind: Kind) -> None:
    submission, declared = reception.submission, reception.declared
    if not declared.patient_id:
        raise PatientRequired
    uids = assign_uids(
        declared=declared,
        department_id=submission.department_id,
        batch_id=submission.pk,
        sha256=file.sha256,
    )
    reception.file()  # pictures are numbered in the order in which they were filed
    number = submission.files.filter(instance__isnull=False).count() + 1
    with file.path.open("rb") as stream:
        converted = convert(stream, kind=kind, declared=declared, uids=uids, number=number)
    content = converted.content.data
    with spooled(io.BytesIO(content), limit=content.nbytes) as dicom_file:
        reception.add(sent, kind, dicom_file, converted.examined)
