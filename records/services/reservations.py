"""How much one person may leave unfinished: room on the disk, uploads and submissions."""

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from records.choices import SubmissionState
from records.errors import StorageLow, TooManyUnfinished, UploadShareUsed
from records.files.spool import measure_room
from records.models import Submission, Upload


def lock_sender(actor: User) -> None:
    """Have what one person begins counted one after another, inside the caller's transaction."""
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)


def check_submissions(actor: User) -> None:
    """Raise TooManyUnfinished where a person has as many open submissions as one may have."""
    lock_sender(actor)
    unfinished = Submission.objects.filter(created_by=actor, state=SubmissionState.RECEIVING)
    if unfinished.count() >= settings.INTAKE_OPEN_SUBMISSIONS:
        raise TooManyUnfinished(what="submissions", limit=settings.INTAKE_OPEN_SUBMISSIONS)


def check_upload(actor: User, size: int) -> None:
    """Refuse a file of `size` bytes that one person, or the disk, has no room for.

    Bytes that came lie on the disk and aren't free any more. Of those to come, one's own count in
    full and up to a share, unless a file is small; of anybody else's only what comes next, so
    that announcing gigabytes keeps nobody out. The caller holds `lock_sender`. Raises
    TooManyUnfinished, UploadShareUsed and StorageLow.
    """
    now = timezone.now()
    own = Upload.objects.going_on(now=now).filter(created_by=actor)
    if own.count() >= settings.INTAKE_OPEN_UPLOADS:
        raise TooManyUnfinished(what="uploads", limit=settings.INTAKE_OPEN_UPLOADS)
    room = measure_room()
    free = room.free - room.least
    ahead = Upload.objects.going_on(now=now).exclude(created_by=actor).bytes_ahead()
    reserved = own.missing_bytes()
    if size > free - ahead:
        raise StorageLow
    is_small = size <= settings.INTAKE_UPLOAD_AHEAD_BYTES
    share = free * settings.INTAKE_PERSON_PERCENT // 100
    if reserved and reserved + size > share and not is_small:
        raise UploadShareUsed
    if reserved + size > free - ahead:
        raise StorageLow
