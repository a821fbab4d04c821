"""Patients as the hospital knows them."""

import uuid
from typing import Any

from django.db import models

from accounts.models import Department
from records.choices import Sex
from records.dicom.names import PersonName, display_name, fold_words
from records.querysets import PatientQuerySet


class FoldedNameField(models.TextField):
    """The words of a person's name as a search compares them, written with every save.

    `of` is the row's property that has the name.
    """

    def __init__(self, *args: Any, of: str = "person_name", **kwargs: Any) -> None:
        """Note whose name it is."""
        super().__init__(*args, **kwargs)
        self.of = of

    def deconstruct(self) -> Any:
        """Stand in migrations as the plain field that it is in the database."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001 - Django's
        """Fold what the row's names are now."""
        words = " ".join(fold_words(str(getattr(model_instance, self.of))))
        setattr(model_instance, self.attname, words)
        return words


class Patient(models.Model):
    """A person, known by Patient ID (0010,0020) and its issuer (0010,0021).

    The same ID from another issuer is another patient; an ID without an issuer is the hospital's
    own, and no issuer's. A record is one department's: the same person has another one in another
    department, and no department's files or decisions read or change it. `department` is empty
    where several have shared a record for long; it is divided before somebody changes it.
    `qualifier` sets people apart to whom one issuer gave the same ID; it is empty for the first. A
    record that turned out to be another one's is kept with `merged_into` and no studies, so that
    files that come later are recognised by what it says.

    `name` (Family^Given^Middle^Prefix^Suffix), `ideographic_name` and `phonetic_name` are the
    component groups of a DICOM person name. `is_identified` is False for a temporary record made
    for a study whose files name no patient.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="patients", null=True, blank=True
    )
    mrn = models.CharField("patient ID", max_length=64)
    issuer = models.CharField("issuer of patient ID", max_length=64, blank=True)
    qualifier = models.CharField(max_length=16, blank=True)
    name = models.CharField(max_length=324, blank=True)
    ideographic_name = models.CharField(max_length=324, blank=True)
    phonetic_name = models.CharField(max_length=324, blank=True)
    search_name = FoldedNameField(blank=True, editable=False)
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=1, choices=Sex.choices, blank=True, default=Sex.UNKNOWN)
    is_identified = models.BooleanField(default=True)
    merged_into = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="aliases", null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PatientQuerySet.as_manager()

    class Meta:
        """One record per department, ID, issuer and qualifier; the list pages by name."""

        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("mrn", "issuer", "qualifier", "department"),
                name="patient_mrn_issuer_unique",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=~models.Q(mrn=""), name="patient_mrn_not_empty"),
            models.CheckConstraint(
                condition=~models.Q(merged_into=models.F("id")), name="patient_not_own_alias"
            ),
        )
        indexes = (models.Index(fields=("name", "id"), name="patient_name"),)

    def __str__(self) -> str:
        """Return the id only, so that no log holds a name by accident."""
        return f"Patient {self.id}"

    @property
    def person_name(self) -> PersonName:
        """The name in all its ways of writing."""
        return PersonName(self.name, self.ideographic_name, self.phonetic_name)

    @person_name.setter
    def person_name(self, name: PersonName) -> None:
        self.name = name.alphabetic
        self.ideographic_name = name.ideographic
        self.phonetic_name = name.phonetic

    @property
    def display_name(self) -> str:
        """The name as people write it, "Family, Given Middle", in the first way there is."""
        return self.person_name.shown or "No name"

    @property
    def display_ideographic(self) -> str:
        """The ideographic name, to be shown beside an alphabetic one."""
        return display_name(self.ideographic_name) if self.name else ""

    @property
    def display_phonetic(self) -> str:
        """The phonetic name as people write it."""
        return display_name(self.phonetic_name)
