"""What contradicts what is held: whose images are, and files kept apart until a person decides."""

import datetime as dt
import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts.models import Department, User
from records.choices import (
    ConflictKind,
    ConflictState,
    QuarantineReason,
    QuarantineState,
    Resolution,
    Sex,
)
from records.dicom.names import PersonName
from records.models.imaging import Instance, StoredFile, Study, image_storage
from records.models.patients import Patient
from records.models.submissions import Submission, SubmissionFile
from records.querysets import IdentityConflictQuerySet, QuarantinedFileQuerySet


class IdentityConflict(models.Model):
    """What was sent contradicts what is held about a person, until somebody decides.

    ```
    OPEN ──resolve──▶ RESOLVED ──reverse──▶ OPEN
    ```

    PATIENT: a new study came under a patient ID that is held with another name or birth date. Its
    images are filed under `sent_patient`, a record of its own, and marked as in question.
    STUDY: files came for a study that is held for another patient. They are kept in quarantine,
    so that nobody's images appear among another's, and the study is marked.
    ELSEWHERE: another department has images under the patient ID of a record of this one. Where
    it changed what the two had agreed on, `sent` says how; else nothing of its patient is told.
    No study is marked, and nothing is changed unless somebody of this department decides so.

    `sent` is whom the files named, `held_patient` whom the hospital knows.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=ConflictKind.choices)
    state = models.CharField(
        max_length=10, choices=ConflictState.choices, default=ConflictState.OPEN
    )
    department = models.ForeignKey(Department, on_delete=models.PROTECT, related_name="conflicts")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="conflicts")
    held_patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="conflicts_as_held"
    )
    sent_patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="conflicts_as_sent", null=True
    )
    sent = models.JSONField()
    differing = ArrayField(models.CharField(max_length=20), default=list)
    raised_at = models.DateTimeField(default=timezone.now)

    objects = IdentityConflictQuerySet.as_manager()

    class Meta:
        """Newest first; one open conflict per record, and per study and person sent."""

        ordering = ("-raised_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("sent_patient",),
                condition=models.Q(sent_patient__isnull=False),
                name="conflict_of_patient_unique",
            ),
            models.UniqueConstraint(
                fields=("study", "sent"),
                condition=models.Q(kind=ConflictKind.STUDY),
                name="conflict_of_study_unique",
            ),
            models.UniqueConstraint(
                fields=("held_patient", "department", "sent"),
                condition=models.Q(kind=ConflictKind.ELSEWHERE),
                name="conflict_elsewhere_unique",
            ),
        )
        indexes = (
            models.Index(fields=("state", "department", "-raised_at"), name="conflict_queue"),
        )

    def __str__(self) -> str:
        """Return the id; the rest names people."""
        return f"Identity conflict {self.id}"

    def get_absolute_url(self) -> str:
        """The page on which a person decides."""
        return reverse("records:conflict-detail", args=[self.pk])

    @property
    def is_open(self) -> bool:
        """Tell whether nobody has decided."""
        return self.state == ConflictState.OPEN

    @property
    def is_change_proposed(self) -> bool:
        """Tell whether another department changed what the two records had agreed on."""
        return self.kind == ConflictKind.ELSEWHERE and bool(self.differing)

    @property
    def sent_name(self) -> PersonName:
        """The name that the files gave."""
        return PersonName.from_text(self.sent["name"])

    @property
    def sent_display_name(self) -> str:
        """That name as people write it, in the first way there is."""
        return self.sent_name.shown or "No name"

    @property
    def sent_birth_date(self) -> dt.date | None:
        """The birth date that the files gave."""
        given = self.sent["birth_date"]
        return dt.date.fromisoformat(given) if given else None

    @property
    def sent_sex(self) -> str:
        """The sex that the files gave, in words."""
        return str(Sex(self.sent["sex"]).label)

    @property
    def latest_decision(self) -> "ConflictDecision | None":
        """The decision that stands, if the conflict is resolved."""
        return None if self.is_open else self.decisions.order_by("-decided_at").first()


class ConflictDecision(models.Model):
    """One decision about a conflict, with all that it changed, so that it can be taken back.

    `before` and `after` hold, for every row that the decision changed, the values of the fields
    it changed: {"patient": {id: {field: value}}, "study": {...}, "file": {...}}.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conflict = models.ForeignKey(
        IdentityConflict, on_delete=models.PROTECT, related_name="decisions"
    )
    resolution = models.CharField(max_length=12, choices=Resolution.choices)
    reason = models.CharField(max_length=400)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(default=timezone.now)
    reversed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    reversed_at = models.DateTimeField(null=True)

    class Meta:
        """In the order in which they were taken."""

        ordering = ("decided_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("conflict",),
                condition=models.Q(reversed_at__isnull=True),
                name="one_decision_stands",
            ),
        )

    def __str__(self) -> str:
        """Return what was decided."""
        return f"{self.resolution} of {self.conflict_id}"


class QuarantinedFile(StoredFile):
    """A file that contradicts what is held: stored, seen by nobody but those who manage it.

    ```
    HELD ──its conflict is resolved──▶ FILED ──reversed──▶ HELD
    HELD ──discard──▶ DISCARDED
    ```

    The bytes lie in the image store under their hash, where no row of an image leads to them.
    A discarded file points to none: the store's sweep removes what no row needs.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reason = models.CharField(max_length=15, choices=QuarantineReason.choices)
    state = models.CharField(
        max_length=10, choices=QuarantineState.choices, default=QuarantineState.HELD
    )
    submission = models.ForeignKey(
        Submission, on_delete=models.PROTECT, related_name="quarantined_files"
    )
    verdict = models.ForeignKey(
        SubmissionFile, on_delete=models.PROTECT, related_name="quarantined_files"
    )
    conflict = models.ForeignKey(
        IdentityConflict, on_delete=models.PROTECT, related_name="files", null=True
    )
    instance = models.ForeignKey(
        Instance, on_delete=models.PROTECT, related_name="quarantined_files", null=True
    )
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    sop_instance_uid = models.CharField(max_length=64)
    series_instance_uid = models.CharField(max_length=64)
    study_instance_uid = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    source_sha256 = models.CharField(max_length=64)
    source_format = models.CharField(max_length=10)
    held_sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveBigIntegerField()
    number_of_frames = models.PositiveIntegerField(default=0)
    file = models.FileField(storage=image_storage, max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.CharField(max_length=400, blank=True)

    objects = QuarantinedFileQuerySet.as_manager()

    class Meta:
        """Newest first; the same bytes are kept apart once in a department."""

        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("sop_instance_uid", "sha256", "department"),
                condition=models.Q(state=QuarantineState.HELD),
                name="quarantined_once",
            ),
        )
        indexes = (
            models.Index(fields=("state", "-created_at", "-id"), name="quarantine_state"),
            models.Index(fields=("sha256",), name="quarantine_sha256"),
        )

    def __str__(self) -> str:
        """Return the id."""
        return f"Quarantined file {self.id}"

    @property
    def file_owner(self) -> dict[str, Any]:
        """The department that it was sent to: it belongs to no study."""
        return {"department_id": self.submission.department_id}

    @property
    def study(self) -> Study | None:
        """The study that it contradicts: its conflict's, or the one of the image under its UID."""
        if self.conflict is not None:
            return self.conflict.study
        held = Instance.objects.filter(sop_instance_uid=self.sop_instance_uid)
        instance = held.select_related("series__study").first()
        return instance.series.study if instance is not None else None

    def as_image(self) -> Instance:
        """An instance that is never saved: to draw the file as stored ones are drawn."""
        drawn: dict[str, Any] = {
            "sha256": self.sha256,
            "file": self.file.name,
            "number_of_frames": self.number_of_frames,
        }
        return Instance(**drawn)
