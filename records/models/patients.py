"""Patients as the hospital knows them."""

import datetime as dt
import uuid

from django.db import models

from records.querysets import PatientQuerySet


class Sex(models.TextChoices):
    """Patient's Sex (0010,0040)."""

    FEMALE = "F", "Female"
    MALE = "M", "Male"
    OTHER = "O", "Other"
    UNKNOWN = "", "Not stated"


class Patient(models.Model):
    """A person, known by Patient ID (0010,0020) and its issuer (0010,0021).

    `name` is a DICOM person name (Family^Given^Middle^Prefix^Suffix), first component
    group; `is_identified` is False for a temporary record made for a study whose files
    name no patient.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    mrn = models.CharField("patient ID", max_length=64)
    issuer = models.CharField("issuer of patient ID", max_length=64, blank=True)
    name = models.CharField(max_length=324, blank=True)
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=1, choices=Sex.choices, blank=True, default=Sex.UNKNOWN)
    is_identified = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PatientQuerySet.as_manager()

    class Meta:
        """One record per ID and issuer; the list pages by name."""

        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(fields=("mrn", "issuer"), name="patient_mrn_issuer_unique"),
            models.CheckConstraint(condition=~models.Q(mrn=""), name="patient_mrn_not_empty"),
        )
        indexes = (models.Index(fields=("name", "id"), name="patient_name"),)

    def __str__(self) -> str:
        """Return the id only, so that no log holds a name by accident."""
        return f"Patient {self.id}"

    @property
    def display_name(self) -> str:
        """The name as people write it: "Family, Given Middle"."""
        family, _, rest = self.name.partition("^")
        given = " ".join(part for part in rest.split("^")[:2] if part)
        return ", ".join(part for part in (family.strip(), given.strip()) if part) or "No name"

    def age_on(self, day: dt.date) -> int | None:
        """Full years of age on `day`, or None where the birth date is unknown."""
        if self.birth_date is None or day < self.birth_date:
            return None
        had_birthday = (day.month, day.day) >= (self.birth_date.month, self.birth_date.day)
        return day.year - self.birth_date.year - (0 if had_birthday else 1)
