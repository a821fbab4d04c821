"""Files on their way in, piece by piece."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from records.choices import UploadState
from records.models.submissions import Submission, SubmissionFile
from records.querysets import UploadQuerySet


class Upload(models.Model):
    """One file of a submission while its bytes come, in as many requests as it takes.

    ```
    RECEIVING ──last byte──▶ FILED      `files` holds the verdicts: many for a ZIP, else one
              ──cancelled, replaced, expired, or its submission closed──▶ DROPPED
    ```

    The first `offset` bytes are safe on disk: the row is written after the disk has confirmed
    them. The row is only transport, and goes some time after it ended; what became of the file
    is in its verdicts for ever. `fingerprint` is a hash by which the sender's program knows the
    file again, so that nothing on the sender's machine needs to remember a name.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="uploads")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="uploads")
    name = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveBigIntegerField()
    offset = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(
        max_length=10, choices=UploadState.choices, default=UploadState.RECEIVING
    )
    files = models.ManyToManyField(SubmissionFile, related_name="uploads")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    objects = UploadQuerySet.as_manager()

    class Meta:
        """In the order of arrival; one sender has one unfinished upload of a file."""

        ordering = ("created_at", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(offset__lte=F("size_bytes")), name="upload_offset_within_size"
            ),
            models.UniqueConstraint(
                fields=("submission", "created_by", "fingerprint"),
                condition=Q(state=UploadState.RECEIVING) & ~Q(fingerprint=""),
                name="upload_once_per_file",
            ),
        )
        indexes = (models.Index(fields=("state", "expires_at"), name="upload_state"),)

    def __str__(self) -> str:
        """Return how far it is; the name may hold a patient's."""
        return f"Upload {self.id}: {self.offset} of {self.size_bytes} bytes"

    @property
    def is_whole(self) -> bool:
        """Whether every byte has come."""
        return self.offset == self.size_bytes

    @property
    def missing_bytes(self) -> int:
        """How many bytes have not come yet."""
        return self.size_bytes - self.offset
