"""Every read of the records app: what one may see, and how it is searched."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts.roles import Verb

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import (  # noqa: F401 - in strings
        Export,
        Instance,
        Patient,
        Series,
        Study,
        Submission,
        SubmissionFile,
    )


class StudyQuerySet(models.QuerySet["Study"]):
    """Reads of studies."""

    def visible_to(self, user: "User") -> "StudyQuerySet":
        """Studies of the departments in which `user` may look at studies."""
        return self.filter(department__in=user.department_ids_for(Verb.STUDY_VIEW))

    def matching(self, text: str) -> "StudyQuerySet":
        """Studies whose patient, accession number, description or UID matches `text`."""
        text = text.strip()
        if not text:
            return self
        return self.filter(
            Q(patient__name__icontains=text)
            | Q(patient__mrn__istartswith=text)
            | Q(accession_number__istartswith=text)
            | Q(description__icontains=text)
            | Q(study_instance_uid=text)
        )

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
        from records.models import SubmissionFile  # the models import this module

        sending = SubmissionFile.objects.filter(study=OuterRef("pk"), submission__state="receiving")
        return self.filter(~Exists(sending), state="open", last_received_at__lte=since)

    def with_listing(self) -> "StudyQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("patient", "department")


class PatientQuerySet(models.QuerySet["Patient"]):
    """Reads of patients."""

    def visible_to(self, user: "User") -> "PatientQuerySet":
        """Patients with a study in a department in which `user` may look at patients."""
        from records.models import Study  # the models import this module

        studies = Study.objects.filter(
            patient=OuterRef("pk"), department__in=user.department_ids_for(Verb.PATIENT_VIEW)
        )
        return self.filter(Exists(studies))

    def matching(self, text: str) -> "PatientQuerySet":
        """Patients whose name contains, or whose id starts with, `text`."""
        text = text.strip()
        if not text:
            return self
        caret = text.replace(", ", "^").replace(",", "^")
        return self.filter(
            Q(name__icontains=text) | Q(name__icontains=caret) | Q(mrn__istartswith=text)
        )

    def with_counts(self, user: "User") -> "PatientQuerySet":
        """Add `study_count` and `last_study_at` over the studies that `user` may see.

        Subqueries: they are run for the rows of one page, not for every patient.
        """
        from records.models import Study  # the models import this module

        seen = Study.objects.filter(
            patient=OuterRef("pk"), department__in=user.department_ids_for(Verb.PATIENT_VIEW)
        ).order_by()
        counted = seen.values("patient").annotate(found=models.Count("pk")).values("found")
        latest = seen.values("patient").annotate(at=models.Max("received_at")).values("at")
        return self.annotate(
            study_count=Coalesce(Subquery(counted), 0), last_study_at=Subquery(latest)
        )


class SeriesQuerySet(models.QuerySet["Series"]):
    """Reads of series."""

    def visible_to(self, user: "User") -> "SeriesQuerySet":
        """Series of visible studies."""
        return self.filter(study__department__in=user.department_ids_for(Verb.STUDY_VIEW))

    def with_counts(self) -> "SeriesQuerySet":
        """Add `image_count`, the number of instances that can be looked at."""
        images = Q(instances__number_of_frames__gt=0)
        return self.annotate(image_count=models.Count("instances", filter=images))


class InstanceQuerySet(models.QuerySet["Instance"]):
    """Reads of instances."""

    def visible_to(self, user: "User") -> "InstanceQuerySet":
        """Instances of visible studies."""
        return self.filter(series__study__department__in=user.department_ids_for(Verb.STUDY_VIEW))

    def of_study(self, study: "Study") -> "InstanceQuerySet":
        """The instances of one study, in reading order."""
        return (
            self.filter(series__study=study)
            .select_related("series")
            .order_by(
                "series__series_number", "series_id", "slice_position", "instance_number", "id"
            )
        )

    def classifiable(self) -> "InstanceQuerySet":
        """Those a network may be shown."""
        return self.filter(number_of_frames__gt=0, exclusion="")


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """Reads of submissions."""

    def visible_to(self, user: "User") -> "SubmissionQuerySet":
        """Submissions to the departments in which `user` may submit, and one's own."""
        allowed = Q(department__in=user.department_ids_for(Verb.STUDY_SUBMIT))
        own = Q(created_by=user) if user.has_verb(Verb.STUDY_SUBMIT) else Q(pk__in=[])
        return self.filter(allowed | own)

    def abandoned(self, *, before: dt.datetime) -> "SubmissionQuerySet":
        """Batches still receiving that nothing has reached since `before`."""
        return self.filter(state="receiving", touched_at__lt=before)

    def with_counts(self) -> "SubmissionQuerySet":
        """Add the number of files by verdict."""
        return self.annotate(
            **{
                f"{verdict}_count": models.Count("files", filter=Q(files__verdict=verdict))
                for verdict in ("stored", "duplicate", "rejected")
            }
        )


class SubmissionFileQuerySet(models.QuerySet["SubmissionFile"]):
    """Reads of verdicts."""

    def with_targets(self) -> "SubmissionFileQuerySet":
        """Fetch the study of each verdict."""
        return self.select_related("study", "instance")


class ExportQuerySet(models.QuerySet["Export"]):
    """Reads of de-identified copies."""

    def visible_to(self, user: "User") -> "ExportQuerySet":
        """Exports of the departments from which `user` may export."""
        return self.filter(department__in=user.department_ids_for(Verb.STUDY_EXPORT))

    def of_study(self, study: "Study") -> "ExportQuerySet":
        """Those that hold a copy of one study."""
        return self.filter(studies=study)

    def abandoned(self, *, before: dt.datetime) -> "ExportQuerySet":
        """Exports still being prepared that nobody has worked on since `before`."""
        return self.filter(state="preparing", touched_at__lt=before)
