"""Which studies one may see, and how they are searched."""

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest, TruncDate
from django.utils import timezone

from accounts.counting import count_of
from accounts.roles import Verb
from accounts.settled import settled_before
from records.choices import StudyState, SubmissionState
from records.querysets.imaging import SeriesQuerySet
from records.querysets.keeping import LegalHoldQuerySet
from records.querysets.names import patient_matching, patients_bearing
from records.querysets.submissions import SubmissionFileQuerySet

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import DicomNode, Patient, Study, Submission  # noqa: F401 - in strings


class StudyQuerySet(models.QuerySet["Study"]):
    """Reads of studies."""

    def visible_to(self, user: "User") -> "StudyQuerySet":
        """Studies of the departments in which `user` may look at studies; no deleted ones."""
        return self.kept().filter(department__in=user.department_ids_for(Verb.STUDY_VIEW))

    def kept(self) -> "StudyQuerySet":
        """Studies that nobody has deleted."""
        return self.filter(deleted_at__isnull=True)

    def exportable_by(self, user: "User") -> "StudyQuerySet":
        """Studies of the departments from which `user` may export; no deleted ones."""
        return self.kept().filter(department__in=user.department_ids_for(Verb.STUDY_EXPORT))

    def movable_by(self, user: "User") -> "StudyQuerySet":
        """Studies that `user` may move: of their departments, or all for an administrator."""
        if user.has_verb_everywhere(Verb.STUDY_MOVE):
            return self.kept()
        return self.visible_to(user).filter(department__in=user.department_ids_for(Verb.STUDY_MOVE))

    def deleted(self) -> "StudyQuerySet":
        """Studies that somebody deleted, destroyed ones included."""
        return self.filter(deleted_at__isnull=False)

    def restorable_by(self, user: "User") -> "StudyQuerySet":
        """Deleted studies whose files are still there, where `user` may delete and restore."""
        return self.restorable().filter(department__in=user.department_ids_for(Verb.STUDY_DELETE))

    def with_holds(self) -> "StudyQuerySet":
        """Add `is_held`: whether a legal hold stands."""
        return self.annotate(is_held=self._is_held)

    def without_holds(self) -> "StudyQuerySet":
        """Studies that no legal hold keeps."""
        return self.filter(~self._is_held)

    def expired(self, *, before: dt.datetime) -> "StudyQuerySet":
        """Studies deleted before a moment, with no hold on them: their files may go."""
        deleted = self.restorable().filter(deleted_at__lt=before)
        return deleted.without_holds().order_by("deleted_at")

    def past_retention(self) -> "StudyQuerySet":
        """Kept studies done (else received) more than RETENTION_YEARS ago that nothing holds.

        None where studies are kept for ever.
        """
        if not settings.RETENTION_YEARS:
            return self.none()
        day = _years_before(timezone.localdate(), settings.RETENTION_YEARS)
        undated = Q(study_date__isnull=True, received_at__date__lt=day)
        old = self.kept().filter(Q(study_date__lt=day) | undated)
        return old.without_holds().order_by("received_at", "id")

    def restorable(self) -> "StudyQuerySet":
        """Deleted studies whose files are still there."""
        return self.filter(deleted_at__isnull=False, purged_at__isnull=True)

    def named(self, given: str) -> "StudyQuerySet":
        """Studies of this Study Instance UID or accession number, deleted ones included."""
        return self.filter(
            Q(study_instance_uid=given) | Q(accession_number=given), purged_at__isnull=True
        )

    def visible_to_node(self, node: "DicomNode") -> "StudyQuerySet":
        """Studies of the department that a DICOM node belongs to; no deleted ones."""
        return self.kept().filter(department=node.department_id)

    def matching(self, text: str) -> "StudyQuerySet":
        """Studies whose patient, accession number, description or UID matches `text`."""
        text = text.strip()
        if not text:
            return self
        return self.filter(
            patient_matching(text, prefix="patient__")
            | Q(accession_number__istartswith=text)
            | Q(description__icontains=text)
            | Q(study_instance_uid=text)
        )

    def bearing(self, numbers: dict[str, str]) -> "StudyQuerySet":
        """Studies of these very numbers: accession number, Study Instance UID, patient's ID."""
        own = {"accession_number", "study_instance_uid"} & numbers.keys()
        found = self.filter(**{name: numbers[name] for name in own})
        if "patient_id" in numbers:
            patients: models.QuerySet[Any] = models.QuerySet(self.model.patient.field.related_model)
            found = found.filter(patient__in=patients_bearing(numbers, among=patients))
        return found

    def with_changes(self) -> "StudyQuerySet":
        """Add `last_change_at`, of the study or its patient; leave out what isn't settled yet."""
        changed = self.annotate(last_change_at=Greatest("updated_at", "patient__updated_at"))
        return changed.filter(last_change_at__lt=settled_before())

    def filtered(self, filters: dict[str, Any]) -> "StudyQuerySet":
        """Studies that pass every filter given: text, modality, body part, state, and so on."""
        found = self.matching(filters.get("q") or "")
        if filters.get("modality"):
            found = found.filter(modalities__contains=[filters["modality"]])
        if filters.get("body_part"):
            found = found.filter(body_part__iexact=filters["body_part"])
        if filters.get("since"):
            found = found.filter(received_at__gte=filters["since"])
        if filters.get("until"):
            found = found.filter(received_at__lt=filters["until"])
        exact = ("state", "priority", "department", "patient", "study_instance_uid")
        return found.filter(**{name: filters[name] for name in exact if filters.get(name)})

    def idle(self, *, since: dt.datetime) -> "StudyQuerySet":
        """Open studies to which nothing came after `since`, and to which nobody is sending.

        A batch that is still receiving counts for the studies that it has brought files of.
        """
        files = SubmissionFileQuerySet(self.model.submission_files.rel.related_model)
        sending = files.filter(study=OuterRef("pk"), submission__state=SubmissionState.RECEIVING)
        return self.kept().filter(
            ~Exists(sending), state=StudyState.OPEN, last_received_at__lte=since
        )

    def of_person(self, patient: "Patient") -> "StudyQuerySet":
        """Studies of a record, and of those of other departments that say the very same person.

        That is the same ID from the same issuer, the same name and the same birth date.
        """
        same = Q(patient=patient)
        if patient.is_identified and patient.search_name and patient.birth_date:
            same |= Q(
                patient__mrn=patient.mrn,
                patient__issuer=patient.issuer,
                patient__search_name=patient.search_name,
                patient__birth_date=patient.birth_date,
            )
        return self.filter(same)

    def with_answer(self) -> "StudyQuerySet":
        """Fetch what a DICOM query answers about a study."""
        every = SeriesQuerySet(self.model.series.rel.related_model)
        series = every.with_instances().filter(study=OuterRef("pk"))
        return self.select_related("patient").annotate(series_count=count_of(series, "study"))

    def by_submission(self, submissions: Iterable["Submission"]) -> "dict[UUID, list[Study]]":
        """Which of the rows at hand each of `submissions` brought, with the patients."""
        found: dict[UUID, list[Study]] = {batch.pk: [] for batch in submissions}
        brought = self.filter(submission_files__submission__in=list(found))
        pairs = brought.annotate(batch=F("submission_files__submission")).distinct()
        for study in pairs.select_related("patient").order_by("received_at", "pk"):
            batch = study.batch  # type: ignore[attr-defined]  # annotated above
            if batch in found:
                found[batch].append(study)
        return found

    def newest_examined(self) -> "StudyQuerySet":
        """By the day of the examination, newest first; by that of arrival where it isn't known."""
        day = Coalesce("study_date", TruncDate("received_at"))
        return self.order_by(
            day.desc(), F("study_time").desc(nulls_last=True), "-received_at", "-id"
        )

    def with_listing(self) -> "StudyQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("patient", "department")

    @property
    def _is_held(self) -> Exists:
        holds = LegalHoldQuerySet(self.model.holds.rel.related_model)
        return Exists(holds.standing(study=OuterRef("pk")))


def _years_before(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year - years, day=28)
