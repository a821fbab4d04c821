"""Which patients one may see, and how they are searched."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts.roles import Verb
from records.querysets.names import patient_named

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import Patient  # noqa: F401 - in strings


class PatientQuerySet(models.QuerySet["Patient"]):
    """Reads of patients."""

    def visible_to(self, user: "User") -> "PatientQuerySet":
        """Patients with a study in a department in which `user` may look at patients."""
        from records.models import Study  # the models import this module

        studies = Study.objects.kept().filter(
            patient=OuterRef("pk"), department__in=user.department_ids_for(Verb.PATIENT_VIEW)
        )
        return self.filter(Exists(studies))

    def matching(self, text: str) -> "PatientQuerySet":
        """Patients whose name contains, or whose id starts with, `text`."""
        text = text.strip()
        if not text:
            return self
        return self.filter(patient_named(text) | Q(mrn__istartswith=text))

    def holding(self, *, mrn: str, issuer: str) -> "PatientQuerySet":
        """Every record of an ID from an issuer, the first one first, with what it was merged into.

        The issuer is compared as it is: one ID with and one without an issuer are two.
        """
        rows = self.filter(mrn=mrn, issuer=issuer).order_by("qualifier", "created_at", "pk")
        return rows.select_related("merged_into")

    def with_counts(self, user: "User") -> "PatientQuerySet":
        """Add `study_count` and `last_study_at` over the studies that `user` may see.

        Subqueries: they are run for the rows of one page, not for every patient.
        """
        from records.models import Study  # the models import this module

        seen = (
            Study.objects.kept()
            .filter(
                patient=OuterRef("pk"), department__in=user.department_ids_for(Verb.PATIENT_VIEW)
            )
            .order_by()
        )
        counted = seen.values("patient").annotate(found=models.Count("pk")).values("found")
        latest = seen.values("patient").annotate(at=models.Max("received_at")).values("at")
        return self.annotate(
            study_count=Coalesce(Subquery(counted), 0), last_study_at=Subquery(latest)
        )
