"""Which patients one may see, and how they are searched."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts.roles import Verb
from records.choices import ConflictKind
from records.querysets.names import patient_matching, patients_bearing
from records.querysets.studies import StudyQuerySet

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import IdentityConflict, Patient  # noqa: F401 - in strings


class PatientQuerySet(models.QuerySet["Patient"]):
    """Reads of patients."""

    def visible_to(self, user: "User") -> "PatientQuerySet":
        """Patients with a study in a department in which `user` may look at patients."""
        studies = self._studies.kept().filter(
            patient=OuterRef("pk"), department__in=user.department_ids_for(Verb.PATIENT_VIEW)
        )
        return self.filter(Exists(studies))

    def matching(self, text: str) -> "PatientQuerySet":
        """Patients whose name has the words of `text`, whose ID starts so, or born on that day."""
        text = text.strip()
        if not text:
            return self
        return self.filter(patient_matching(text))

    def bearing(self, numbers: dict[str, str]) -> "PatientQuerySet":
        """Patients of this very `patient_id` (and `issuer`), or of a record merged into theirs."""
        return patients_bearing(numbers, among=self)

    def of_department(self, department_id: UUID) -> "PatientQuerySet":
        """A department's own records, and those that it shares with others."""
        studies = self._studies.filter(patient=OuterRef("pk"), department=department_id)
        return self.filter(Q(department=department_id) | Exists(studies))

    def holding(self, *, mrn: str, issuer: str, department_id: UUID) -> "PatientQuerySet":
        """Every record that a department has of an ID from an issuer, the first one first.

        The issuer is compared as it is: one ID with and one without an issuer are two. Fetches
        what records were merged into.
        """
        rows = self.filter(mrn=mrn, issuer=issuer).of_department(department_id)
        return rows.order_by("qualifier", "created_at", "pk").select_related("merged_into")

    def holding_any(self, *, mrn: str, department_id: UUID) -> "PatientQuerySet":
        """Every record that a department has of an ID, whoever issued it, the first one first."""
        rows = self.filter(mrn=mrn, is_identified=True).of_department(department_id)
        return rows.order_by("qualifier", "created_at", "pk").select_related("merged_into")

    def elsewhere(self, *, mrn: str, issuer: str, department_id: UUID) -> "PatientQuerySet":
        """Records of an ID from an issuer under which another department has studies."""
        studies = self._studies.kept().filter(patient=OuterRef("pk"))
        rows = self.filter(mrn=mrn, issuer=issuer, is_identified=True)
        return rows.filter(Exists(studies.exclude(department=department_id))).order_by("pk")

    def in_sight_of(self, conflict: "IdentityConflict") -> "PatientQuerySet":
        """Records of a conflict's department: its own, or with a study of it before the one sent.

        The study that raised the conflict doesn't count, so that nobody comes to see a record by
        sending something under its ID.
        """
        studies = self._studies.filter(patient=OuterRef("pk"), department=conflict.department_id)
        if conflict.kind == ConflictKind.PATIENT:
            studies = studies.exclude(pk=conflict.study_id)
        return self.filter(Q(department=conflict.department_id) | Exists(studies))

    def with_counts(self, user: "User") -> "PatientQuerySet":
        """Add `study_count` and `last_study_at` over the studies that `user` may see.

        Subqueries: they are run for the rows of one page, not for every patient.
        """
        seen = (
            self._studies.kept()
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

    @property
    def _studies(self) -> StudyQuerySet:
        return StudyQuerySet(self.model.studies.rel.related_model)
