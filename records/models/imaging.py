"""Studies, their series and their instances, as DICOM has them."""

import datetime as dt
import uuid
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.files.storage import Storage, storages
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from accounts.models import Department, User
from ml.ages import Age, find_age
from records.choices import Damage, Priority, StudyState
from records.dicom.names import GROUP_LENGTH, PersonName
from records.models.patients import FoldedNameField, Patient
from records.querysets import InstanceManager, InstanceQuerySet, SeriesQuerySet, StudyQuerySet


def image_storage() -> Storage:
    """The private storage that holds every image; a callable, so that settings decide late."""
    return storages["images"]


REASON_LENGTH = 400
"""Of the reason for a deletion or a legal hold: a sentence or two."""

OPEN_MODALITIES = frozenset({"", "OT", "SC"})
"""Modalities (0008,0060) that say nothing of the image: missing, "other", secondary capture."""


class Study(models.Model):
    """One imaging examination of one patient, seen by one department.

    What two departments were sent under one Study Instance UID is two studies: no answer to the one
    tells whether the other holds it.

    ```
    OPEN ──complete──▶ COMPLETE ──late image──▶ OPEN
    ```

    `last_received_at` is when its latest image came: a study that nobody declares to be whole
    is complete once nothing has come for a while and nobody is sending. `modalities` repeats
    what the series say, and `is_in_question` whether an identity conflict about it is open, so
    that lists need no join. Date and time are the wall clock's where it was done, `utc_offset`
    ("+0100") that clock's, where stated. `stated_age` is Patient's Age (0010,1010), `named` whom
    its first file named, as it came. `study_id` is Study ID (0020,0010), the department's own
    number; `referring_physician` has the component groups of a name in columns like a patient's.

    ```
    kept ──delete──▶ deleted ──retention ends──▶ purged
           ◀─restore──
    ```

    Beside that, a study is kept, deleted (`deleted_at`: out of everybody's sight, all of it still
    there) or purged (`purged_at`: its files are destroyed). The rows of a purged study stay,
    because answers and reviews hang on them, but without identifiers: those, with the hashes,
    are in its StudyTombstone, and the UIDs are free for the study to be sent again. The database
    itself keeps `updated_at`, when the row last changed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study_instance_uid = models.CharField(max_length=64)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="studies")
    department = models.ForeignKey(Department, on_delete=models.PROTECT, related_name="studies")
    accession_number = models.CharField(max_length=64, blank=True)
    study_id = models.CharField("study ID", max_length=64, blank=True)
    referring_physician_name = models.CharField(max_length=GROUP_LENGTH, blank=True)
    referring_physician_ideographic_name = models.CharField(max_length=GROUP_LENGTH, blank=True)
    referring_physician_phonetic_name = models.CharField(max_length=GROUP_LENGTH, blank=True)
    referring_physician_search_name = FoldedNameField(
        blank=True, editable=False, of="referring_physician"
    )
    description = models.CharField(max_length=64, blank=True)
    body_part = models.CharField(max_length=64, blank=True)
    modalities = ArrayField(models.CharField(max_length=16), default=list)
    study_date = models.DateField(null=True, blank=True)
    study_time = models.TimeField(null=True, blank=True)
    utc_offset = models.CharField(max_length=5, blank=True)
    stated_age = models.CharField(max_length=4, blank=True)
    named = models.JSONField(default=dict, blank=True)
    priority = models.CharField(max_length=10, choices=Priority.choices, default=Priority.ROUTINE)
    state = models.CharField(max_length=10, choices=StudyState.choices, default=StudyState.OPEN)
    is_in_question = models.BooleanField(default=False)
    instance_count = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="studies_received", null=True
    )
    received_at = models.DateTimeField(default=timezone.now)
    last_received_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    deleted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="studies_deleted", null=True, blank=True
    )
    deletion_reason = models.CharField(max_length=REASON_LENGTH, blank=True)
    purged_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = StudyQuerySet.as_manager()

    class Meta:
        """Newest first; lists page by (received_at, id) within departments."""

        ordering = ("-received_at", "-id")
        verbose_name_plural = "studies"
        indexes = (
            models.Index(fields=("-received_at", "-id"), name="study_received"),
            models.Index(fields=("department", "-received_at", "-id"), name="study_department"),
            models.Index(fields=("accession_number",), name="study_accession"),
            models.Index(
                fields=("last_received_at",),
                condition=models.Q(state=StudyState.OPEN),
                name="study_open",
            ),
            models.Index(
                fields=("deleted_at",),
                condition=models.Q(deleted_at__isnull=False, purged_at__isnull=True),
                name="study_deleted",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("study_instance_uid", "department"), name="study_uid_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(deleted_at__isnull=True, deletion_reason="")
                | (models.Q(deleted_at__isnull=False) & ~models.Q(deletion_reason="")),
                name="study_deleted_says_why",
            ),
            models.CheckConstraint(
                condition=models.Q(purged_at__isnull=True) | models.Q(deleted_at__isnull=False),
                name="study_purged_was_deleted",
            ),
        )

    def __str__(self) -> str:
        """Return the UID."""
        return f"Study {self.study_instance_uid}"

    def get_absolute_url(self) -> str:
        """The study page."""
        return reverse("records:study-detail", args=[self.pk])

    @property
    def referring_physician(self) -> PersonName:
        """Referring Physician's Name (0008,0090) in all its ways of writing."""
        return PersonName(
            self.referring_physician_name,
            self.referring_physician_ideographic_name,
            self.referring_physician_phonetic_name,
        )

    @referring_physician.setter
    def referring_physician(self, name: PersonName) -> None:
        self.referring_physician_name = name.alphabetic
        self.referring_physician_ideographic_name = name.ideographic
        self.referring_physician_phonetic_name = name.phonetic

    @property
    def restorable_until(self) -> dt.datetime | None:
        """When a deleted study's files are destroyed; None for a study that is kept."""
        return self.deleted_at + settings.RETENTION_DELETED if self.deleted_at else None

    @property
    def changed_at(self) -> dt.datetime:
        """When the study or its patient last changed."""
        return max(self.updated_at, self.patient.updated_at)

    @property
    def patient_age(self) -> Age | None:
        """The patient's age when the study was done: by the birth date, else as stated."""
        return find_age(
            birth_date=self.patient.birth_date,
            study_date=self.study_date,
            received=timezone.localdate(self.received_at),
            stated=self.stated_age,
        )

    @property
    def clock(self) -> str:
        """Which clock `study_time` was read from, in words: "UTC+01:00"."""
        return f"UTC{self.utc_offset[:3]}:{self.utc_offset[3:]}" if self.utc_offset else ""

    @property
    def title(self) -> str:
        """What the examination is, in a few words: "CR · Chest · Chest PA"."""
        parts = ["/".join(self.modalities), self.body_part.capitalize(), self.description]
        return " · ".join(part for part in parts if part) or "Study"


class StoredFile(models.Model):
    """A row that points to a file in the store, and what the scrubber found when it read that.

    Has `file`, `sha256` and `size_bytes` of its own. `healed_at` is when a file that was damaged or
    missing was last found whole again.
    """

    checked_at = models.DateTimeField(null=True, blank=True)
    damage = models.CharField(
        max_length=10, choices=Damage.choices, blank=True, default=Damage.NONE
    )
    healed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """For others to build on."""

        abstract = True

    @property
    def file_owner(self) -> dict[str, Any]:
        """What an event about the file is filed under: its study, else a department."""
        raise NotImplementedError


class Series(models.Model):
    """Instances taken together.

    `modality` and `body_part_examined` are the header's. Where it leaves them open, a person
    may state them: `stated_modality` and `stated_body_part` never stand against a header.
    `request_attributes` has the items of Request Attributes Sequence (0040,0275), each with the
    texts of its IDs by keyword. `department` repeats the study's, for the constraint: a trigger
    writes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="series")
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    series_instance_uid = models.CharField(max_length=64)
    series_number = models.IntegerField(null=True, blank=True)
    modality = models.CharField(max_length=16, blank=True)
    body_part_examined = models.CharField(max_length=64, blank=True)
    stated_modality = models.CharField(max_length=16, blank=True)
    stated_body_part = models.CharField(max_length=16, blank=True)
    description = models.CharField(max_length=64, blank=True)
    laterality = models.CharField(max_length=16, blank=True)
    protocol_name = models.CharField(max_length=64, blank=True, default="", db_default="")
    station_name = models.CharField(max_length=64, blank=True, default="", db_default="")
    manufacturer_model_name = models.CharField(max_length=64, blank=True, default="", db_default="")
    performed_procedure_step_start_date = models.DateField(null=True, blank=True)
    performed_procedure_step_start_time = models.TimeField(null=True, blank=True)
    request_attributes = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SeriesQuerySet.as_manager()

    class Meta:
        """In the order of the examination; a UID once in a department."""

        ordering = ("series_number", "created_at", "id")
        verbose_name_plural = "series"
        constraints = (
            models.UniqueConstraint(
                fields=("series_instance_uid", "department"), name="series_uid_unique"
            ),
        )

    def __str__(self) -> str:
        """Return the UID."""
        return f"Series {self.series_instance_uid}"

    @property
    def title(self) -> str:
        """What the series is, in a few words."""
        return self.description or self.known_body_part.capitalize() or self.known_modality

    @property
    def is_modality_open(self) -> bool:
        """Tell whether the header leaves open by what the images were made."""
        return self.modality in OPEN_MODALITIES

    @property
    def known_modality(self) -> str:
        """The header's modality, or what a person stated where the header leaves it open."""
        return self.stated_modality or self.modality

    @property
    def known_body_part(self) -> str:
        """The header's body part, or what a person stated where the header is silent."""
        return self.body_part_examined or self.stated_body_part


class Instance(StoredFile):
    """One stored DICOM object, image or not, and what its header says of its pixels.

    `sha256` is of the stored bytes, `source_sha256` of the bytes that were sent: they
    differ for a picture such as a PNG, which is stored as DICOM. `data_set_sha256` is of what
    follows the File Meta Information, "" where nobody counted it. An image that can't be
    classified says why in `exclusion` (a code) and `exclusion_reason` (a sentence).
    `checked_at` is when the scrubber last read the file, `damage` what it found.
    `department` repeats the study's, for the constraint: a trigger writes it.
    `undecoded` keeps the bytes of texts that couldn't be decoded, as base64 by keyword.
    `is_withheld`: a decision that put it into its study was reversed. Nobody sees it and no
    study counts it; the row is there because a model may have read it. `objects` leaves those
    out, `with_withheld` doesn't.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="instances")
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    sop_instance_uid = models.CharField(max_length=64)
    sop_class_uid = models.CharField(max_length=64)
    transfer_syntax_uid = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64, db_index=True)
    source_sha256 = models.CharField(max_length=64, db_index=True)
    source_format = models.CharField(max_length=10, default="dicom")
    data_set_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="")
    file = models.FileField(storage=image_storage, max_length=200)
    size_bytes = models.PositiveBigIntegerField()
    instance_number = models.IntegerField(null=True, blank=True)
    rows = models.PositiveIntegerField(null=True, blank=True)
    columns = models.PositiveIntegerField(null=True, blank=True)
    number_of_frames = models.PositiveIntegerField(default=0)
    bits_stored = models.PositiveSmallIntegerField(null=True, blank=True)
    photometric_interpretation = models.CharField(max_length=16, blank=True)
    view_position = models.CharField(max_length=16, blank=True)
    slice_position = models.FloatField(null=True, blank=True)
    window_center = models.FloatField(null=True, blank=True)
    window_width = models.FloatField(null=True, blank=True)
    exclusion = models.CharField(max_length=40, blank=True)
    exclusion_reason = models.CharField(max_length=300, blank=True)
    undecoded = models.JSONField(default=dict, blank=True)
    is_withheld = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = InstanceManager()
    with_withheld = InstanceQuerySet.as_manager()

    class Meta:
        """In the order of the slices; a UID once in a department."""

        ordering = ("slice_position", "instance_number", "created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("sop_instance_uid", "department"), name="instance_uid_unique"
            ),
        )
        indexes = (
            models.Index(models.F("checked_at").asc(nulls_first=True), name="instance_checked"),
            models.Index(
                fields=("series",), condition=~models.Q(damage=""), name="instance_damaged"
            ),
            models.Index(fields=("file",), name="instance_file"),
        )

    def __str__(self) -> str:
        """Return the UID."""
        return f"Instance {self.sop_instance_uid}"

    @property
    def file_owner(self) -> dict[str, Any]:
        """The study that it is part of."""
        return {"study": self.series.study}

    @property
    def is_colour(self) -> bool:
        """Tell whether there are colours, to which no window applies."""
        return not self.photometric_interpretation.startswith("MONOCHROME")

    @property
    def is_image(self) -> bool:
        """Tell whether there is anything to look at."""
        return self.number_of_frames > 0
