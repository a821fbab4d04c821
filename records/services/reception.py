"""Files on their way into one submission, while the request that brings them goes on."""

import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Q

from accounts.errors import new_reference
from accounts.models import User
from accounts.outages import is_database_outage
from records.choices import NOT_HELD
from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.preamble import hash_data_set
from records.dicom.reading.sniff import Kind
from records.dicom.sandbox.jobs import Examined
from records.errors import (
    Dicomdir,
    DicomTruncated,
    DicomUnreadable,
    EmptyFile,
    FileNotTaken,
    FileRejected,
    IntakeFailed,
    MissingUid,
    OtherStudy,
    StoreUnavailable,
    SubmissionEnded,
    TooManyFiles,
    TooManyInOneRequest,
    UnknownFormat,
)
from records.files.allowance import Allowance
from records.files.leftovers import is_directory
from records.files.sandboxed import sandbox
from records.files.spool import keep_file
from records.files.stores import Spooled, is_outage
from records.models import Submission, SubmissionFile
from records.services.filing import file_objects
from records.services.refusals import Refusals
from records.services.verdicts import ReceivedObject, Sent

logger = logging.getLogger(__name__)

EXAMINED_AT_ONCE = 2
FILED_AT_ONCE = 32
FILED_AT_ONCE_BYTES = 64 * 1024 * 1024
BROKEN = (DicomTruncated, DicomUnreadable, EmptyFile, MissingUid, UnknownFormat)
REST = "(the rest of the request)"


@dataclass(frozen=True, slots=True)
class ObjectUids:
    """Which object a file holds, by its own header."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and the object that it is about; None where the file's header wasn't read."""

    file: SubmissionFile
    uids: ObjectUids | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An object that is being examined, and the place among the verdicts kept for its own."""

    sent: Sent
    kind: Kind
    file: Spooled
    examined: Future[Examined]
    place: int
    allowance: Allowance

    def received(self) -> ReceivedObject:
        """Wait for the examination; raises what it found wrong."""
        found = self.examined.result()
        document = b"" if found.document is None else found.document.tobytes()
        return ReceivedObject(
            source=self.sent,
            source_format=self.kind,
            file=self.file,
            data_set_sha256=_hash_data_set(self.file.path),
            header=found.header,
            exclusion=found.exclusion,
            document=document,
            remarks=found.remarks,
        )


def _hash_data_set(path: Path) -> str:
    with path.open("rb") as stream:
        return hash_data_set(stream)


class Reception:
    """Files on their way into a submission: those that are ready are filed some at a time.

    While one is examined, in a child, the next may come.
    """

    def __init__(
        self,
        actor: User | None,
        submission: Submission,
        *,
        is_one_file: bool,
        study_instance_uid: str = "",
    ) -> None:
        """Begin; a file sent by itself has its refusal told, however many there were before it.

        Objects of another study than `study_instance_uid`, if given, are refused.
        """
        self.actor = actor
        self.submission = submission
        self.declared = DeclaredFields.from_json(submission.declared)
        held = submission.files.aggregate(
            files=Count("pk"), refused=Count("pk", filter=Q(verdict__in=NOT_HELD))
        )
        self._room: int = settings.INTAKE_MAX_FILES - held["files"]
        self._refusals = Refusals(actor, submission, told=0 if is_one_file else held["refused"])
        self._verdicts: list[SubmissionFile | None] = []
        self._uids: dict[int, ObjectUids] = {}
        self._study_instance_uid = study_instance_uid
        self._waiting: list[_Waiting] = []
        self._failures: list[IntakeFailed] = []
        self._examiners = ThreadPoolExecutor(EXAMINED_AT_ONCE, "examiner")

    @property
    def count(self) -> int:
        """How many verdicts there are, or will be on what has come so far."""
        return len(self._verdicts)

    @property
    def verdicts(self) -> list[SubmissionFile]:
        """The verdicts on what was filed or refused, in the order in which it came."""
        return [verdict for verdict in self._verdicts if verdict is not None]

    @property
    def judged(self) -> list[Judged]:
        """The same verdicts, each with the object that it is about."""
        places = enumerate(self._verdicts)
        return [Judged(file, self._uids.get(place)) for place, file in places if file is not None]

    @property
    def written(self) -> list[SubmissionFile]:
        """Those of the verdicts that have a row, with the row that counts the others."""
        rows = [verdict for verdict in self.verdicts if not verdict._state.adding]
        return [*rows, *self._refusals.counting_rows]

    @property
    def is_full(self) -> bool:
        """Whether the submission has as many files as one may have."""
        return self.count >= self._room

    def is_of_disc(self) -> bool:
        """Whether a disc's table of contents has come before."""
        self.file()
        return self.submission.files.filter(code=Dicomdir.code).exists()

    def check_room(self) -> None:
        """Refuse a file beyond those that a submission may have; raises TooManyFiles."""
        if self.is_full:
            raise TooManyFiles(limit=settings.INTAKE_MAX_FILES, taken=self.count)

    def end_request(self) -> TooManyInOneRequest:
        """Refuse all that comes after the last file that has room, by one verdict."""
        taken, limit = self.count, settings.INTAKE_MAX_FILES
        self.refuse(Sent(REST, 0, ""), TooManyFiles(limit=limit, taken=taken))
        return TooManyInOneRequest(taken=taken, limit=limit)

    def add(
        self,
        sent: Sent,
        kind: Kind,
        file: Spooled,
        allowance: Allowance,
        examined: Examined | None = None,
    ) -> None:
        """Keep an object, whose file becomes ours, until there are enough to be filed."""
        file = replace(file, path=keep_file(file))
        if examined is None:
            # With the caller's context: the log says to which request a line belongs.
            run = copy_context().run
            future = self._examiners.submit(run, _examine, self.submission, file.path, allowance)
        else:
            future = Future()
            future.set_result(examined)
        self._waiting.append(_Waiting(sent, kind, file, future, len(self._verdicts), allowance))
        self._verdicts.append(None)
        size = sum(waiting.file.size for waiting in self._waiting)
        if len(self._waiting) >= FILED_AT_ONCE or size >= FILED_AT_ONCE_BYTES:
            self.file()

    def refuse(self, sent: Sent, refusal: FileRejected) -> None:
        """Record why a file was refused, after the verdicts on those that came before it."""
        self.file()
        self._verdicts.append(self._refusals.record(sent, _as_told(sent, refusal)))

    def fail(self, failure: IntakeFailed) -> None:
        """Note that a file couldn't be taken by our own fault; raises what concerns all of them.

        It gets no verdict. The others are filed, so that one that never can be holds none of them
        back, and `check` tells the sender at the end.
        """
        if not failure.is_of_one_file:
            raise failure
        self._failures.append(failure)

    def check(self) -> None:
        """Raise why a file wasn't taken, where one wasn't."""
        if self._failures:
            raise self._failures[0]

    def file(self) -> None:
        """File what is ready; raises SubmissionEnded, and IntakeFailed that concerns all."""
        waiting, self._waiting = self._waiting, []
        ready: dict[int, ReceivedObject] = {}
        try:
            for one in waiting:
                try:
                    ready[one.place] = self._read(one)
                except FileRejected as refusal:
                    self._file(ready)
                    ready.clear()
                    told = _as_told(one.sent, refusal)
                    self._verdicts[one.place] = self._refusals.record(one.sent, told)
                except IntakeFailed as failure:
                    self.fail(failure)
            self._file(ready)
        finally:
            for one in waiting:
                one.examined.cancel()
                one.file.path.unlink(missing_ok=True)

    def _read(self, waiting: _Waiting) -> ReceivedObject:
        """Wait for what an object says of itself; raises what is wrong with it, and OtherStudy."""
        with failures_named(self.submission):
            received = waiting.received()
        header = received.header
        self._uids[waiting.place] = ObjectUids(header.sop_class_uid, header.sop_instance_uid)
        if self._study_instance_uid not in ("", header.study_instance_uid):
            raise OtherStudy
        return received

    def end(self) -> None:
        """File what is ready, write what was only counted, and let go of the threads."""
        try:
            self.file()
        finally:
            self._refusals.write()
            self._examiners.shutdown()

    def _file(self, ready: Mapping[int, ReceivedObject]) -> None:
        """File objects by the places that are kept for their verdicts."""
        if not ready:
            return
        received = list(ready.values())
        try:
            with failures_named(self.submission):
                verdicts = file_objects(
                    actor=self.actor,
                    submission=self.submission,
                    received=received,
                    refuse=self._refusals.record,
                )
        except IntakeFailed as failure:
            if len(ready) == 1 or not failure.is_of_one_file:
                self.fail(failure)
                return
            for place, one in ready.items():
                self._file({place: one})
            return
        for place, verdict in zip(ready, verdicts, strict=True):
            self._verdicts[place] = verdict


def _as_told(sent: Sent, refusal: FileRejected) -> FileRejected:
    """A disc's table of contents is that however broken it is: nobody misses it."""
    is_broken = isinstance(refusal, BROKEN) and is_directory(sent.name)
    return Dicomdir() if is_broken else refusal


def _examine(submission: Submission, path: Path, allowance: Allowance) -> Examined:
    try:
        with failures_named(submission), path.open("rb") as stream, refusal_timed(allowance):
            return sandbox.examine(stream)
    except FileRejected:
        allowance.note_refusal()
        raise


@contextmanager
def refusal_timed(allowance: Allowance) -> Iterator[None]:
    """Have what is refused cost the archive that it came in the time that it took a child."""
    started = time.monotonic()
    try:
        yield
    except FileRejected:
        took = time.monotonic() - started
        allowance.spend(min(took, settings.DECODING_SECONDS))
        raise


@contextmanager
def failures_named(submission: Submission) -> Iterator[None]:
    """Have an error of ours raise FileNotTaken, and find the one in the log by the other.

    What the database's own absence causes is left as it is: it concerns every request alike. The
    store's raises StoreUnavailable.
    """
    try:
        yield
    except (FileRejected, IntakeFailed, SubmissionEnded):
        raise
    except Exception as error:
        if is_database_outage(error):
            raise
        if is_outage(error):
            raise StoreUnavailable from error
        reference = new_reference()
        logger.exception("File %s of submission %s", reference, submission.pk)
        raise FileNotTaken(reference=reference) from error
