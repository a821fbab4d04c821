"""Reads of identity conflicts and of quarantined files."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from accounts.roles import Verb
from records.choices import ConflictKind, ConflictState, QuarantineState
from records.querysets.stored import StoredFileQuerySet
from records.querysets.studies import StudyQuerySet

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import (  # noqa: F401 - in strings
        IdentityConflict,
        Patient,
        QuarantinedFile,
        Study,
    )


class IdentityConflictQuerySet(models.QuerySet["IdentityConflict"]):
    """Reads of identity conflicts."""

    def visible_to(self, user: "User") -> "IdentityConflictQuerySet":
        """Conflicts of the departments in which `user` may resolve them; not of deleted studies.

        Nor of one that has been moved to another department: that has its own conflicts.
        """
        return self.of_kept_studies().filter(
            department__in=user.department_ids_for(Verb.CONFLICT_RESOLVE),
            study__department=F("department"),
        )

    def of_kept_studies(self) -> "IdentityConflictQuerySet":
        """Those of studies that nobody has deleted.

        A conflict about a person's record stays while another study of that record is kept.
        """
        studies = StudyQuerySet(self.model.study.field.related_model)
        others = studies.kept().filter(
            patient=OuterRef("sent_patient"), department=OuterRef("department")
        )
        return self.filter(Q(study__deleted_at__isnull=True) | Exists(others))

    def open(self) -> "IdentityConflictQuerySet":
        """Those that nobody has decided."""
        return self.filter(state=ConflictState.OPEN)

    def about_patient(self, patient: "Patient") -> "IdentityConflictQuerySet":
        """Those that put in question whose a patient's studies are."""
        questioned = self.exclude(kind=ConflictKind.ELSEWHERE)
        return questioned.filter(Q(held_patient=patient) | Q(sent_patient=patient))

    def about_study(self, study: "Study") -> "IdentityConflictQuerySet":
        """Those that put in question whose a study is."""
        questioned = self.exclude(kind=ConflictKind.ELSEWHERE)
        return questioned.filter(Q(study=study) | Q(sent_patient=study.patient_id))

    def of_identity(self, study: "Study", sent: dict[str, Any]) -> "IdentityConflictQuerySet":
        """Those raised when files of a study came for the person that `sent` describes."""
        return self.filter(kind=ConflictKind.STUDY, study=study, sent=sent)

    def with_listing(self) -> "IdentityConflictQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("study", "department", "held_patient", "sent_patient")


class QuarantinedFileQuerySet(StoredFileQuerySet["QuarantinedFile"]):
    """Reads of quarantined files."""

    def visible_to(self, user: "User") -> "QuarantinedFileQuerySet":
        """All for those who manage the quarantine, without the bytes; none of a deleted study."""
        if not user.has_verb(Verb.QUARANTINE_MANAGE):
            return self.none()
        return self.of_kept_studies()

    def of_kept_studies(self) -> "QuarantinedFileQuerySet":
        """Those that came for no study that somebody deleted.

        Of a study that was destroyed the UIDs are free again, and what came for it by them only
        can be discarded like anything else.
        """
        conflicts = IdentityConflictQuerySet(self.model.conflict.field.related_model)
        studies = StudyQuerySet(conflicts.model.study.field.related_model)
        named = Q(
            study_instance_uid=OuterRef("study_instance_uid"), department=OuterRef("department")
        )
        deleted = studies.restorable().filter(Q(pk=OuterRef("conflict__study")) | named)
        return self.filter(~Exists(deleted))

    def readable_by(self, user: "User") -> "QuarantinedFileQuerySet":
        """Those sent to departments in which `user` decides on conflicts: theirs are the bytes."""
        departments = user.department_ids_for(Verb.CONFLICT_RESOLVE)
        return self.of_kept_studies().filter(submission__department__in=departments)

    def held(self) -> "QuarantinedFileQuerySet":
        """Those whose bytes are still kept apart."""
        return self.filter(state=QuarantineState.HELD)

    def with_listing(self) -> "QuarantinedFileQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("submission__created_by", "submission__department", "conflict")
