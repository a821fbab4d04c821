"""Files that come in pieces: begun, gone on with after any break, and filed with the last byte.

Bytes on their way are no record yet. The trail gets its one event with the verdict: from filing,
or when a file is dropped before it was whole.
"""

import hashlib
import logging
from collections.abc import Iterator
from io import BufferedRandom

from django.conf import settings
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from accounts.models import User
from accounts.outages import is_database_outage
from records.choices import SubmissionState, UploadState
from records.dicom.reading.values import clean_text
from records.errors import (
    ChecksumMismatch,
    FileRejected,
    IntakeFailed,
    OffsetMismatch,
    RequestTooLarge,
    TooManyFiles,
    UploadBusy,
    UploadCancelled,
    UploadGone,
    UploadNotTaken,
    UploadOverrun,
    UploadUnfinished,
)
from records.files import partial
from records.files.spool import CHUNK_BYTES, Readable, check_room
from records.files.stores import ensure_store
from records.models import Submission, Upload
from records.querysets import UploadQuerySet
from records.services.filing import lock_receiving
from records.services.receiving import check_may_submit, receive_spooled
from records.services.reservations import check_upload, lock_sender
from records.services.verdicts import NAME_LENGTH, Sent, record_refusal

logger = logging.getLogger(__name__)

CHECKSUMS = ("sha1", "sha256", "md5")
"""What bytes may be counted with on their way; the first is the one that tus asks for."""

Checksum = tuple[str, bytes]
"""The name of one of CHECKSUMS, and what the sender counted."""


def open_upload(
    *, actor: User, submission: Submission, name: str, size: int, fingerprint: str = ""
) -> Upload:
    """Begin a file of `size` bytes; one begun before with the same fingerprint is replaced.

    Raises SubmissionEnded, DepartmentUnknown, RequestTooLarge, TooManyFiles, and what
    `check_upload` raises.
    """
    check_may_submit(actor, submission)
    if size > settings.INTAKE_MAX_FILE_BYTES:
        raise RequestTooLarge(limit=filesizeformat(settings.INTAKE_MAX_FILE_BYTES))
    with transaction.atomic():
        lock_sender(actor)
        submission = lock_receiving(submission)
        if fingerprint:
            _replace(actor, submission, fingerprint)
        _check_count(submission)
        check_upload(actor, size)
        return Upload.objects.create(
            submission=submission,
            created_by=actor,
            name=clean_text(name)[-NAME_LENGTH:],
            fingerprint=fingerprint,
            size_bytes=size,
            expires_at=timezone.now() + settings.INTAKE_ABANDONED_AFTER,
        )


def append_to_upload(
    *,
    actor: User,
    upload: Upload,
    offset: int,
    length: int | None,
    stream: Readable,
    checksum: Checksum | None = None,
) -> Upload:
    """Take the next `length` bytes, as many as come; the last one has the file filed.

    Without a length, as of a body that comes in chunks, the stream's end tells it.
    Returns the upload as it is now. Raises UploadBusy, UploadGone, OffsetMismatch, UploadOverrun,
    ChecksumMismatch, IntakeFailed (what came before is kept), DepartmentUnknown and
    SubmissionEnded.
    """
    check_may_submit(actor, upload.submission)
    if upload.state == UploadState.DROPPED:
        raise UploadGone
    with partial.exclusive(upload.pk) as file:
        upload = _still_there(upload)
        if offset != upload.offset:
            raise OffsetMismatch(held=upload.offset, stated=offset)
        if length is not None and length > upload.missing_bytes:
            raise UploadOverrun(missing=upload.missing_bytes)
        if upload.state == UploadState.FILED:
            return upload
        if partial.size_of(file) < offset:
            _drop(upload, because=UploadUnfinished)
            raise UploadGone
        expected = upload.missing_bytes if length is None else length
        check_room(expected)
        safe_offsets = partial.write_from(stream, file, offset=offset, length=expected)
        if length is None:
            safe_offsets = _up_to_the_end(stream, upload.missing_bytes, safe_offsets)
        if checksum is not None:
            safe_offsets = _checked(checksum, file, offset, safe_offsets)
        for safe in safe_offsets:
            _advance(upload, safe)
        if upload.is_whole:
            _file_or_go_back(upload, offset)
    return upload


def cancel_upload(*, actor: User, upload: Upload) -> None:
    """Take a file back that is not whole yet; its verdict says so.

    Raises UploadBusy while bytes of it come, and UploadGone.
    """
    check_may_submit(actor, upload.submission)
    if upload.state == UploadState.DROPPED:
        raise UploadGone
    with partial.exclusive(upload.pk):
        upload = _still_there(upload)
        if upload.state == UploadState.RECEIVING:
            _drop(upload, because=UploadCancelled)


def abandon_upload(*, upload: Upload) -> None:
    """Forget an upload that broke off before its sender heard of it: nobody can go on with it."""
    with transaction.atomic():
        Upload.objects.receiving().filter(pk=upload.pk).delete()
        transaction.on_commit(lambda: partial.discard(upload.pk))


def settle_uploads(*, submission: Submission) -> None:
    """End what is on its way into a batch that closes: file what is whole, refuse the rest.

    The caller holds the submission's lock. Raises UploadBusy while one of them is written to.
    """
    for pk in submission.uploads.receiving().values_list("pk", flat=True):
        with partial.exclusive(pk) as file:
            _settle(file, Upload.objects.receiving().filter(pk=pk))


def sweep_uploads() -> int:
    """Settle the uploads that nobody goes on with; return how many.

    One that can't be settled is logged, tried again the next time, and holds up no other. Rows
    and files that are of no more use go too. Raises StoreUnavailable.
    """
    ensure_store()
    now = timezone.now()
    settled = 0
    left = Upload.objects.to_settle(now=now)
    for pk in left.values_list("pk", flat=True):
        try:
            with partial.exclusive(pk) as file:
                settled += _settle(file, left.filter(pk=pk))
        except UploadBusy:
            continue
        except Exception as error:
            if is_database_outage(error):
                raise
            logger.exception("Upload %s can't be settled", pk)
    Upload.objects.ended(before=now).delete()
    wanted = {str(pk) for pk in Upload.objects.receiving().values_list("pk", flat=True)}
    partial.remove_strays(wanted=wanted, older_than=settings.INTAKE_ABANDONED_AFTER)
    return settled


def _replace(actor: User, submission: Submission, fingerprint: str) -> None:
    """Make way for the same file, sent anew: whoever still writes the old one finds it gone."""
    old = submission.uploads.receiving().filter(created_by=actor, fingerprint=fingerprint).first()
    if old:
        abandon_upload(upload=old)


def _check_count(submission: Submission) -> None:
    on_their_way = submission.uploads.receiving().count()
    if submission.files.count() + on_their_way >= settings.INTAKE_MAX_FILES:
        raise TooManyFiles(limit=settings.INTAKE_MAX_FILES, taken=settings.INTAKE_MAX_FILES)


def _still_there(upload: Upload) -> Upload:
    """Read the row again, under the file's lock."""
    found = (
        Upload.objects.select_related("submission", "created_by")
        .exclude(state=UploadState.DROPPED)
        .filter(pk=upload.pk, expires_at__gte=timezone.now())
        .first()
    )
    if found is None:
        raise UploadGone
    return found


def _up_to_the_end(stream: Readable, missing: int, safe_offsets: Iterator[int]) -> Iterator[int]:
    """Yield the last offset only once nothing follows it: raises UploadOverrun before that."""
    held_back: list[int] = []
    for safe in safe_offsets:
        yield from held_back
        held_back = [safe]
    if stream.read(1):
        raise UploadOverrun(missing=missing)
    yield from held_back


def _checked(
    checksum: Checksum, file: BufferedRandom, start: int, safe_offsets: Iterator[int]
) -> Iterator[int]:
    """Yield only the last offset, and only if the bytes from `start` are what was counted."""
    written = list(safe_offsets)
    name, expected = checksum
    file.seek(start)
    digest = hashlib.new(name, usedforsecurity=False)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    if digest.digest() != expected:
        raise ChecksumMismatch
    yield from written[-1:]


def _advance(upload: Upload, offset: int) -> None:
    """Note how far the bytes are safe, and that the sender is alive."""
    now = timezone.now()
    upload.offset = offset
    upload.expires_at = now + settings.INTAKE_ABANDONED_AFTER
    going_on = Upload.objects.receiving().filter(pk=upload.pk)
    if not going_on.update(offset=offset, expires_at=upload.expires_at):
        raise UploadGone
    alive = Submission.objects.filter(pk=upload.submission_id, state=SubmissionState.RECEIVING)
    alive.update(touched_at=now)


def _file(upload: Upload) -> None:
    """Hand the whole file to intake; whatever dies before the end, it is done again."""
    with partial.whole(upload.pk) as file:
        verdicts = receive_spooled(
            actor=upload.created_by,
            submission=upload.submission,
            name=upload.name,
            file=file,
        )
    with transaction.atomic():
        upload.files.set(verdicts)
        upload.sha256 = file.sha256
        upload.state = UploadState.FILED
        upload.save(update_fields=["sha256", "state"])
        transaction.on_commit(lambda: partial.discard(upload.pk))


def _file_or_go_back(upload: Upload, offset: int) -> None:
    """File it; where that fails by our own fault, let the last bytes come once more from `offset`.

    A sender that finds an upload whole takes it for done.
    """
    try:
        _file(upload)
    except IntakeFailed:
        _advance(upload, offset)
        raise


def _settle(file: BufferedRandom, found: UploadQuerySet) -> bool:
    """File what is whole, refuse what is not; read under the file's lock, it may have ended."""
    upload = found.select_related("submission", "created_by").first()
    if upload is None:
        return False
    if not (upload.is_whole and partial.size_of(file) == upload.size_bytes):
        _drop(upload, because=UploadUnfinished)
        return True
    try:
        _file(upload)
    except IntakeFailed as failure:
        if not failure.is_of_one_file or upload.expires_at > timezone.now():
            raise
        # It was tried for long enough, and its batch has to end.
        _drop(upload, because=UploadNotTaken)
    return True


@transaction.atomic
def _drop(upload: Upload, *, because: type[FileRejected]) -> None:
    """Let go of what came of a file, and say so in a verdict."""
    going_on = Upload.objects.receiving().filter(pk=upload.pk)
    if not going_on.update(state=UploadState.DROPPED):
        raise UploadGone
    verdict = record_refusal(
        actor=upload.created_by,
        submission=upload.submission,
        sent=Sent(name=upload.name, size=upload.offset, sha256=""),
        refusal=because(
            received=filesizeformat(upload.offset), size=filesizeformat(upload.size_bytes)
        ),
    )
    upload.files.add(verdict)
    transaction.on_commit(lambda: partial.discard(upload.pk))
