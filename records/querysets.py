"""Every read of the records app: what one may see, and how it is searched."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.roles import Verb
from records.names import fold_words

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import (  # noqa: F401 - in strings
        DicomNode,
        Export,
        IdentityConflict,
        Instance,
        LegalHold,
        Patient,
        QuarantinedFile,
        Series,
        Study,
        Submission,
        SubmissionFile,
        UnreferencedFile,
        Upload,
    )


def patient_named(text: str, *, prefix: str = "") -> Q:
    """Patients whose name has all words of `text`, whatever their order, accents, case and script.

    `prefix` leads to the patient, as in "study__patient__".
    """
    words = fold_words(text)
    found = Q() if words else Q(pk__in=[])
    for word in words:
        found &= Q(**{f"{prefix}search_name__contains": word})
    return found


class StudyQuerySet(models.QuerySet["Study"]):
    """Reads of studies."""

    def visible_to(self, user: "User") -> "StudyQuerySet":
        """Studies of the departments in which `user` may look at studies; no deleted ones."""
        return self.kept().filter(department__in=user.department_ids_for(Verb.STUDY_VIEW))

    def kept(self) -> "StudyQuerySet":
        """Studies that nobody has deleted."""
        return self.filter(deleted_at__isnull=True)

    def restorable_by(self, user: "User") -> "StudyQuerySet":
        """Deleted studies whose files are still there, where `user` may delete and restore."""
        return self.restorable().filter(department__in=user.department_ids_for(Verb.STUDY_DELETE))

    def with_holds(self) -> "StudyQuerySet":
        """Add `is_held`: whether a legal hold stands."""
        from records.models import LegalHold  # the models import this module

        return self.annotate(is_held=Exists(LegalHold.objects.standing(study=OuterRef("pk"))))

    def without_holds(self) -> "StudyQuerySet":
        """Studies that no legal hold keeps."""
        from records.models import LegalHold  # the models import this module

        return self.filter(~Exists(LegalHold.objects.standing(study=OuterRef("pk"))))

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
            patient_named(text, prefix="patient__")
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
        return self.kept().filter(~Exists(sending), state="open", last_received_at__lte=since)

    def with_answer(self) -> "StudyQuerySet":
        """Fetch what a DICOM query answers about a study."""
        return self.select_related("patient").annotate(series_count=models.Count("series"))

    def with_listing(self) -> "StudyQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("patient", "department")


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


class SeriesQuerySet(models.QuerySet["Series"]):
    """Reads of series."""

    def visible_to(self, user: "User") -> "SeriesQuerySet":
        """Series of visible studies."""
        return self.filter(
            study__deleted_at__isnull=True,
            study__department__in=user.department_ids_for(Verb.STUDY_VIEW),
        )

    def visible_to_node(self, node: "DicomNode") -> "SeriesQuerySet":
        """Series of the studies that a DICOM node sees."""
        return self.filter(study__deleted_at__isnull=True, study__department=node.department_id)

    def with_answer(self) -> "SeriesQuerySet":
        """Fetch what a DICOM query answers about a series."""
        found = self.select_related("study__patient")
        belonging = Q(instances__is_withheld=False)
        return found.annotate(instance_count=models.Count("instances", filter=belonging))

    def with_counts(self) -> "SeriesQuerySet":
        """Add `image_count`, the number of instances that can be looked at."""
        images = Q(instances__number_of_frames__gt=0, instances__is_withheld=False)
        return self.annotate(image_count=models.Count("instances", filter=images))


class InstanceQuerySet(models.QuerySet["Instance"]):
    """Reads of instances."""

    def visible_to(self, user: "User") -> "InstanceQuerySet":
        """Instances of visible studies."""
        return self.filter(
            series__study__deleted_at__isnull=True,
            series__study__department__in=user.department_ids_for(Verb.STUDY_VIEW),
        )

    def visible_to_node(self, node: "DicomNode") -> "InstanceQuerySet":
        """Instances of the studies that a DICOM node sees."""
        return self.filter(
            series__study__deleted_at__isnull=True, series__study__department=node.department_id
        )

    def with_answer(self) -> "InstanceQuerySet":
        """Fetch what a DICOM query answers about an instance."""
        return self.select_related("series__study__patient")

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

    def stored(self) -> "InstanceQuerySet":
        """Those with a file: all but those of destroyed studies."""
        return self.exclude(file="")

    def damaged(self) -> "InstanceQuerySet":
        """Those whose file was found altered or missing when it was last read."""
        return self.exclude(damage="")

    def unchecked_since(self, moment: dt.datetime) -> "InstanceQuerySet":
        """Stored ones that were not read since `moment`, never read ones first."""
        due = self.stored().filter(Q(checked_at__isnull=True) | Q(checked_at__lt=moment))
        return due.order_by(F("checked_at").asc(nulls_first=True), "pk")

    def totals(self) -> dict[str, Any]:
        """How many files of how many bytes are stored, how many were never read, since when."""
        return self.stored().aggregate(
            files=models.Count("pk"),
            size_bytes=Coalesce(models.Sum("size_bytes"), 0),
            never_checked=models.Count("pk", filter=Q(checked_at__isnull=True)),
            oldest_check_at=models.Min("checked_at"),
            damaged=models.Count("pk", filter=~Q(damage="")),
        )


_AnyInstance = models.Manager.from_queryset(InstanceQuerySet)


class InstanceManager(_AnyInstance):  # type: ignore[type-arg]
    """The instances that belong to their studies: those withheld are left out."""

    use_in_migrations = False  # migrations import no app code

    def get_queryset(self) -> InstanceQuerySet:
        """Leave out what a reversed decision took out of its study."""
        return InstanceQuerySet(self.model, using=self._db).filter(is_withheld=False)


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """Reads of submissions."""

    def visible_to(self, user: "User") -> "SubmissionQuerySet":
        """Submissions to the departments in which `user` may submit, and one's own."""
        allowed = Q(department__in=user.department_ids_for(Verb.STUDY_SUBMIT))
        own = Q(created_by=user) if user.has_verb(Verb.STUDY_SUBMIT) else Q(pk__in=[])
        return self.filter(allowed | own)

    def abandoned(
        self, *, before: dt.datetime, associations_before: dt.datetime
    ) -> "SubmissionQuerySet":
        """Batches still receiving that nothing has reached since `before`.

        A DICOM association is kept alive by the process that serves it, so that its batch is
        known to be abandoned sooner: since `associations_before`.
        """
        dead = Q(origin="dimse", touched_at__lt=associations_before)
        return self.filter(dead | Q(touched_at__lt=before), state="receiving")

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


class LegalHoldQuerySet(models.QuerySet["LegalHold"]):
    """Reads of legal holds."""

    def standing(self, **wanted: Any) -> "LegalHoldQuerySet":
        """Those that nobody has lifted."""
        return self.filter(lifted_at__isnull=True, **wanted)

    def visible_to(self, user: "User") -> "LegalHoldQuerySet":
        """All for those who may place them, none for the others."""
        return self if user.has_verb(Verb.STUDY_HOLD) else self.none()

    def with_listing(self) -> "LegalHoldQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("study", "placed_by", "lifted_by")


class UnreferencedFileQuerySet(models.QuerySet["UnreferencedFile"]):
    """Reads of files that no row points to."""

    def due(self, *, now: dt.datetime) -> "UnreferencedFileQuerySet":
        """Those that may be removed now."""
        return self.filter(due_at__lte=now)

    def totals(self) -> dict[str, Any]:
        """How many there are, of how many bytes, and when the first goes."""
        return self.aggregate(
            files=models.Count("pk"),
            size_bytes=Coalesce(models.Sum("size_bytes"), 0),
            next_due_at=models.Min("due_at"),
        )


def _years_before(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year - years, day=28)


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


class QuarantinedFileQuerySet(models.QuerySet["QuarantinedFile"]):
    """Reads of quarantined files."""

    def visible_to(self, user: "User") -> "QuarantinedFileQuerySet":
        """All of them for those who manage the quarantine, nothing for the others."""
        return self if user.has_verb(Verb.QUARANTINE_MANAGE) else self.none()

    def held(self) -> "QuarantinedFileQuerySet":
        """Those whose bytes are still kept apart."""
        return self.filter(state="held")

    def with_listing(self) -> "QuarantinedFileQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("submission__created_by", "submission__department", "conflict")


class DicomNodeQuerySet(models.QuerySet["DicomNode"]):
    """Reads of DICOM nodes."""

    def destinations_for(self, node: "DicomNode") -> "DicomNodeQuerySet":
        """Nodes to which `node` may have images sent: of its own department, with an address."""
        return self.filter(department=node.department_id).exclude(host="")


class UploadQuerySet(models.QuerySet["Upload"]):
    """Reads of files on their way in."""

    def visible_to(self, user: "User") -> "UploadQuerySet":
        """One's own, as long as one may submit to their departments: nobody else writes to them."""
        return self.filter(
            created_by=user, submission__department__in=user.department_ids_for(Verb.STUDY_SUBMIT)
        )

    def receiving(self) -> "UploadQuerySet":
        """Those that are neither filed nor dropped."""
        return self.filter(state="receiving")

    def missing_bytes(self) -> int:
        """How many bytes are still to come for the rows at hand, all together."""
        missing = models.Sum(F("size_bytes") - F("offset"))
        return self.receiving().aggregate(missing=missing)["missing"] or 0

    def to_settle(self, *, now: dt.datetime) -> "UploadQuerySet":
        """Those whose time is up, and whole ones whose server died before it had filed them."""
        return self.receiving().filter(Q(expires_at__lt=now) | Q(offset=F("size_bytes")))

    def ended(self, *, before: dt.datetime) -> "UploadQuerySet":
        """Those that ended, and that nobody has asked for since `before`."""
        return self.exclude(state="receiving").filter(expires_at__lt=before)


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
