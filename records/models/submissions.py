"""What somebody sent: a batch, and the verdict on each file of it."""

import uuid
from collections.abc import Sequence

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from accounts.models import Department, User
from accounts.roles import Verb
from records.choices import Origin, Priority, SubmissionState, Verdict
from records.errors import NotFiledHere
from records.models.imaging import Instance, Study
from records.models.nodes import AE_TITLE_LENGTH
from records.querysets import SubmissionFileQuerySet, SubmissionQuerySet


class Submission(models.Model):
    """A batch of files sent together.

    ```
    RECEIVING ──close──▶ STORED | PARTLY_STORED | REJECTED
    ```

    `declared` holds what the sender stated for files that don't say it themselves
    (patient and study fields of pictures). `touched_at` tells the sweeper which
    batches were left half-way by a sender or a server that died. `is_routed` says that the
    department's rules chose the department: then they are asked about every file.
    `calling_ae_title` is the registered DICOM node that sent it, empty for other doors. The
    database keeps `updated_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, on_delete=models.PROTECT, related_name="submissions")
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="submissions", null=True
    )
    origin = models.CharField(max_length=10, choices=Origin.choices)
    priority = models.CharField(max_length=10, choices=Priority.choices, default=Priority.ROUTINE)
    declared = models.JSONField(default=dict)
    is_routed = models.BooleanField(default=False, db_default=False)
    calling_ae_title = models.CharField(
        "calling AE title", max_length=AE_TITLE_LENGTH, blank=True, default="", db_default=""
    )
    state = models.CharField(
        max_length=15, choices=SubmissionState.choices, default=SubmissionState.RECEIVING
    )
    created_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    unlisted: "Sequence[SubmissionFile]" = ()
    """Verdicts of the request at hand that have no rows of their own, in memory alone."""

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        """Newest first."""

        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("created_by", "-created_at"), name="submission_sender"),
            models.Index(fields=("state", "touched_at"), name="submission_state"),
        )

    def __str__(self) -> str:
        """Return the id."""
        return f"Submission {self.id}"

    def get_absolute_url(self) -> str:
        """The page with the verdict on each file."""
        return reverse("records:submission-detail", args=[self.pk])


class SubmissionFile(models.Model):
    """The verdict on one file: kept for ever, whatever became of the file.

    `name` is what the sender called it, for people to recognise; it is never a path. Of a batch
    in which very many files are refused, one row stands for those beyond the first: it says how
    many there are (`count`), and why, by the codes of their refusals (`counted`). `held_in` is the
    other department that holds the study of a refused file: told to those who see that one, and
    to nobody else.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="files")
    name = models.CharField(max_length=255)
    size_bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    code = models.CharField(max_length=40)
    message = models.CharField(max_length=1000)
    action = models.CharField(max_length=400, blank=True)
    count = models.PositiveIntegerField(default=1, db_default=1)
    counted = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    instance = models.ForeignKey(
        Instance, on_delete=models.PROTECT, related_name="submission_files", null=True
    )
    study = models.ForeignKey(
        Study, on_delete=models.PROTECT, related_name="submission_files", null=True
    )
    held_in = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = SubmissionFileQuerySet.as_manager()

    class Meta:
        """In the order of arrival; a batch has one row of a verdict that counts."""

        ordering = ("created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("submission", "verdict"),
                condition=models.Q(count__gt=1) | ~models.Q(counted={}),
                name="submission_file_counts_once",
            ),
        )

    def __str__(self) -> str:
        """Return the verdict; the name may hold a patient's."""
        return f"File {self.id}: {self.verdict}"

    def as_told_to(self, user: User | None) -> "SubmissionFile":
        """The verdict as one may read it: without what a department holds that one doesn't see.

        The row in hand changes, and is not to be saved.
        """
        seen = user.department_ids_for(Verb.STUDY_VIEW) if user else []
        if self.held_in_id is not None and self.held_in_id not in seen:
            told = NotFiledHere()
            self.code, self.message, self.action = told.code, told.message, told.action
        if self.study is not None and self.study.department_id not in seen:
            self.study = self.instance = None
        return self
