"""For which sources of images an administrator answers that a model was validated there."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Department, User
from classifier.choices import SourceKind
from classifier.models.versions import ModelVersion
from classifier.querysets import SourceValidationQuerySet
from records.models.imaging import REASON_LENGTH

SOURCE_LENGTH = 64
"""Of Institution Name (0008,0080), the longest that a source is called by."""
FIGURES_LENGTH = 1000


class SourceValidation(models.Model):
    """One statement that a version was measured on a source's images and may give labels there.

    Nothing is validated until somebody says so, and it holds for this very version alone.
    `figures` are what was measured, or where that is written. A department is pointed to, any
    other source is named by `value`: the product knows a department and the AE title that called
    itself, while the other two are what the files say. Append-only: a trigger refuses any change
    but the one that withdraws it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="source_validations"
    )
    kind = models.CharField(max_length=12, choices=SourceKind.choices)
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="+", null=True
    )
    value = models.CharField(max_length=SOURCE_LENGTH, blank=True)
    figures = models.CharField(max_length=FIGURES_LENGTH)
    reason = models.CharField(max_length=REASON_LENGTH)
    stated_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    stated_at = models.DateTimeField(db_default=Now())
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawal_reason = models.CharField(max_length=REASON_LENGTH, blank=True)

    objects = SourceValidationQuerySet.as_manager()

    class Meta:
        """Newest first; one statement stands for a source of a version."""

        ordering = ("-stated_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=Q(kind=SourceKind.DEPARTMENT, department__isnull=False, value="")
                | (~Q(kind=SourceKind.DEPARTMENT) & Q(department__isnull=True) & ~Q(value="")),
                name="source_validation_names_its_source",
            ),
            models.CheckConstraint(
                condition=~Q(figures="") & ~Q(reason=""), name="source_validation_says_why"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True) | ~Q(withdrawal_reason=""),
                name="source_validation_withdrawn_says_why",
            ),
            models.UniqueConstraint(
                fields=("model_version", "department"),
                condition=Q(withdrawn_at__isnull=True, kind=SourceKind.DEPARTMENT),
                name="source_validation_of_department_once",
            ),
            models.UniqueConstraint(
                fields=("model_version", "kind", "value"),
                condition=Q(withdrawn_at__isnull=True) & ~Q(kind=SourceKind.DEPARTMENT),
                name="source_validation_of_value_once",
            ),
        )

    def __str__(self) -> str:
        """Return the source."""
        return f"{self.get_kind_display()}: {self.source}"

    @property
    def source(self) -> str:
        """What the source is called."""
        return self.department.name if self.department else self.value

    @property
    def is_standing(self) -> bool:
        """Tell whether nobody has withdrawn it."""
        return self.withdrawn_at is None
