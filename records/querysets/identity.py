"""Reads of identity conflicts and of quarantined files."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Q

from accounts.roles import Verb
from records.querysets.stored import StoredFileQuerySet

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
        """Conflicts of the departments in which `user` may resolve them."""
        return self.filter(department__in=user.department_ids_for(Verb.CONFLICT_RESOLVE))

    def open(self) -> "IdentityConflictQuerySet":
        """Those that nobody has decided."""
        return self.filter(state="open")

    def about_patient(self, patient: "Patient") -> "IdentityConflictQuerySet":
        """Those in which a patient's record is one of the two sides."""
        return self.filter(Q(held_patient=patient) | Q(sent_patient=patient))

    def about_study(self, study: "Study") -> "IdentityConflictQuerySet":
        """Those that put in question whose a study is."""
        return self.filter(Q(study=study) | Q(sent_patient=study.patient_id))

    def of_identity(self, study: "Study", sent: dict[str, Any]) -> "IdentityConflictQuerySet":
        """Those raised when files of a study came for the person that `sent` describes."""
        return self.filter(kind="study", study=study, sent=sent)

    def with_listing(self) -> "IdentityConflictQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("study", "department", "held_patient", "sent_patient")


class QuarantinedFileQuerySet(StoredFileQuerySet["QuarantinedFile"]):
    """Reads of quarantined files."""

    def visible_to(self, user: "User") -> "QuarantinedFileQuerySet":
        """All of them, without the bytes, for those who manage the quarantine."""
        return self if user.has_verb(Verb.QUARANTINE_MANAGE) else self.none()

    def readable_by(self, user: "User") -> "QuarantinedFileQuerySet":
        """Those sent to departments in which `user` decides on conflicts: theirs are the bytes."""
        departments = user.department_ids_for(Verb.CONFLICT_RESOLVE)
        return self.filter(submission__department__in=departments)

    def held(self) -> "QuarantinedFileQuerySet":
        """Those whose bytes are still kept apart."""
        return self.filter(state="held")

    def with_listing(self) -> "QuarantinedFileQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("submission__created_by", "submission__department", "conflict")
