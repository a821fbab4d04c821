"""De-identified copies of studies on their way out, and the images that a person must look at."""

import uuid

from django.core.files.storage import Storage, storages
from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts.models import Department, User
from records.choices import ExportState, HoldCause
from records.dicom.deidentification import Options
from records.models.imaging import Instance, Study
from records.querysets import ExportQuerySet


def export_storage() -> Storage:
    """The private storage for what the product makes; a callable, so that settings decide late."""
    return storages["default"]


class Export(models.Model):
    """A de-identified copy of some studies of one department, made for one project.

    ```
    PREPARING ──nothing suspicious──▶ READY
              ──maybe writing──▶ HELD ──every image decided──▶ PREPARING
              ──no image left──▶ FAILED
    READY     ──EXPORT_KEPT_DAYS──▶ EXPIRED: the file is gone, what it held stays on record
    PREPARING | HELD | READY ──one of its studies is deleted──▶ FAILED, and the file is gone
    ```

    Exports of one project carry the same pseudonyms. `left_out` names the objects that can't
    be de-identified, each with a code. `touched_at` is when somebody last worked on
    it; null until somebody has.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, on_delete=models.PROTECT, related_name="exports")
    studies = models.ManyToManyField(Study, related_name="exports")
    project = models.CharField(max_length=64)
    purpose = models.CharField(max_length=200)
    retain_dates = models.BooleanField(default=False)
    retain_device = models.BooleanField(default=False)
    retain_patient = models.BooleanField(default=False)
    state = models.CharField(
        max_length=10, choices=ExportState.choices, default=ExportState.PREPARING
    )
    failure_code = models.CharField(max_length=40, blank=True)
    failure = models.CharField(max_length=300, blank=True)
    left_out = models.JSONField(default=list)
    file = models.FileField(storage=export_storage, max_length=200, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    image_count = models.PositiveIntegerField(default=0)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="exports")
    requested_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="exports_cleared", null=True
    )
    cleared_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        """Newest first."""

        ordering = ("-requested_at", "-id")
        indexes = (
            models.Index(fields=("department", "-requested_at", "-id"), name="export_department"),
            models.Index(
                fields=("touched_at",),
                condition=models.Q(state=ExportState.PREPARING),
                name="export_waiting",
            ),
        )

    def __str__(self) -> str:
        """Return the id."""
        return f"Export {self.id}"

    def get_absolute_url(self) -> str:
        """The page that follows it."""
        return reverse("records:export-detail", args=[self.pk])

    @property
    def options(self) -> Options:
        """The options of the profile."""
        return Options(self.retain_dates, self.retain_device, self.retain_patient)


class ExportHold(models.Model):
    """One image that doesn't leave before a person has looked at it.

    `regions` is where writing was suspected, `blackened` what a person had blackened; both are
    lists of [x, y, width, height] in pixels. Nothing blackened means: nothing is written there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="holds")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="export_holds")
    cause = models.CharField(max_length=10, choices=HoldCause.choices)
    regions = models.JSONField(default=list)
    blackened = models.JSONField(default=list)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="export_holds_decided", null=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Each image once; a decision has its maker."""

        ordering = ("instance__series", "instance__slice_position", "instance__instance_number")
        constraints = (
            models.UniqueConstraint(fields=("export", "instance"), name="export_hold_unique"),
            models.CheckConstraint(
                condition=models.Q(decided_by__isnull=True, decided_at__isnull=True)
                | models.Q(decided_by__isnull=False, decided_at__isnull=False),
                name="export_hold_decided_by_somebody",
            ),
        )

    def __str__(self) -> str:
        """Return the id."""
        return f"Hold {self.id}"

    @property
    def frames(self) -> range:
        """The numbers of the frames that somebody must look at."""
        return range(1, max(self.instance.number_of_frames, 1) + 1)


class ExportHoldSight(models.Model):
    """One frame of an image held back, drawn for one person: who decides has had all of them."""

    hold = models.ForeignKey(ExportHold, on_delete=models.CASCADE, related_name="sights")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="export_hold_sights")
    frame = models.PositiveIntegerField()
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """Each frame once for each person."""

        constraints = (
            models.UniqueConstraint(fields=("hold", "user", "frame"), name="export_hold_seen_once"),
        )

    def __str__(self) -> str:
        """Return the ids."""
        return f"Frame {self.frame} of hold {self.hold_id}"
