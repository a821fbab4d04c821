"""Rules by which images find their department where their sender names none."""

import uuid
from dataclasses import dataclass

from django.db import models
from django.db.models import Q

from accounts.models import Department
from records.models.nodes import AE_TITLE_LENGTH, validate_ae_title
from records.querysets import DepartmentRuleQuerySet


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """What of an image may decide where it is filed; empty where it isn't known.

    `ae_title` is the file's Source Application Entity Title (0002,0016).
    """

    modality: str = ""
    body_part: str = ""
    ae_title: str = ""

    def or_else(self, other: "RoutingFacts") -> "RoutingFacts":
        """These facts, and where one isn't known the other's."""
        return RoutingFacts(
            self.modality or other.modality,
            self.body_part or other.body_part,
            self.ae_title or other.ae_title,
        )


class DepartmentRule(models.Model):
    """Images of this modality, body part and AE title go to this department.

    All that a rule states has to be so; what it leaves empty may be anything. It is asked only
    where a sender of several departments names none, and only for those departments. The lowest
    `position` counts; where rules of one position name different departments, none is chosen.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(
        Department, on_delete=models.PROTECT, related_name="routing_rules"
    )
    position = models.PositiveSmallIntegerField(default=100)
    modality = models.CharField(max_length=16, blank=True)
    body_part = models.CharField(max_length=16, blank=True)
    ae_title = models.CharField(
        "AE title", max_length=AE_TITLE_LENGTH, blank=True, validators=[validate_ae_title]
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DepartmentRuleQuerySet.as_manager()

    class Meta:
        """In the order in which they are asked; a rule says something, and each thing once."""

        ordering = ("position", "modality", "body_part", "ae_title", "id")
        constraints = (
            models.CheckConstraint(
                condition=~Q(modality="", body_part="", ae_title=""),
                name="department_rule_says_something",
            ),
            models.UniqueConstraint(
                fields=("department", "modality", "body_part", "ae_title"),
                name="department_rule_unique",
            ),
        )

    def __str__(self) -> str:
        """Return what it asks for: "CT · CHEST · from SCANNER1"."""
        source = f"from {self.ae_title}" if self.ae_title else ""
        return " · ".join(part for part in (self.modality, self.body_part, source) if part)

    def fits(self, facts: RoutingFacts) -> bool:
        """Tell whether an image is what the rule asks for."""
        asked = (
            (self.modality, facts.modality.upper()),
            (self.body_part, facts.body_part.upper()),
            (self.ae_title, facts.ae_title),
        )
        return all(not wanted or wanted == stated for wanted, stated in asked)
