"""Reads of batches, of their verdicts and of files on their way in."""

import datetime as dt
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q
from django.db.models.functions import Least

from accounts.counting import sum_of
from accounts.roles import Verb
from accounts.settled import settled_before
from records.choices import Origin, SubmissionState, UploadState, Verdict
from records.errors import HARMLESS_CODES

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import (  # noqa: F401 - in strings
        Submission,
        SubmissionFile,
        Upload,
    )


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """Reads of submissions."""

    def visible_to(self, user: "User") -> "SubmissionQuerySet":
        """Submissions to the departments in which `user` may submit now.

        One's own too: whoever leaves a department leaves behind what they sent there.
        """
        return self.filter(department__in=user.department_ids_for(Verb.STUDY_SUBMIT))

    def with_changes(self) -> "SubmissionQuerySet":
        """Add `last_change_at`; leave out what isn't settled yet."""
        changed = self.annotate(last_change_at=F("updated_at"))
        return changed.filter(last_change_at__lt=settled_before())

    def abandoned(
        self, *, before: dt.datetime, associations_before: dt.datetime
    ) -> "SubmissionQuerySet":
        """Batches still receiving that nothing has reached since `before`.

        A DICOM association is kept alive by the process that serves it, so that its batch is
        known to be abandoned sooner: since `associations_before`.
        """
        dead = Q(origin=Origin.DIMSE, touched_at__lt=associations_before)
        return self.filter(dead | Q(touched_at__lt=before), state=SubmissionState.RECEIVING)

    def with_counts(self) -> "SubmissionQuerySet":
        """Add the number of files by verdict."""
        rows = SubmissionFileQuerySet(self.model.files.rel.related_model)
        files = rows.filter(submission=OuterRef("pk"))
        return self.annotate(
            **{
                f"{verdict}_count": sum_of(files.filter(verdict=verdict), "submission", of="count")
                for verdict in Verdict
            }
        )


class SubmissionFileQuerySet(models.QuerySet["SubmissionFile"]):
    """Reads of verdicts."""

    def total_count(self) -> int:
        """How many files the rows at hand stand for."""
        return int(self.aggregate(total=models.Sum("count", default=0))["total"])

    def rejected_count(self) -> int:
        """How many files of the rows at hand the batch lacks, those that were only counted too."""
        return self.filter(verdict=Verdict.REJECTED).exclude(code__in=HARMLESS_CODES).total_count()

    def with_targets(self) -> "SubmissionFileQuerySet":
        """Fetch the study of each verdict."""
        return self.select_related("study", "instance")


class UploadQuerySet(models.QuerySet["Upload"]):
    """Reads of files on their way in."""

    def visible_to(self, user: "User") -> "UploadQuerySet":
        """One's own, as long as one may submit to their departments: nobody else writes to them."""
        return self.filter(
            created_by=user, submission__department__in=user.department_ids_for(Verb.STUDY_SUBMIT)
        )

    def receiving(self) -> "UploadQuerySet":
        """Those that are neither filed nor dropped."""
        return self.filter(state=UploadState.RECEIVING)

    def going_on(self, *, now: dt.datetime) -> "UploadQuerySet":
        """Those to which bytes may still come."""
        return self.receiving().filter(expires_at__gte=now)

    def bytes_ahead(self) -> int:
        """How much of the rows at hand may come before anybody looks at the disk again."""
        missing = Least(F("size_bytes") - F("offset"), settings.INTAKE_UPLOAD_AHEAD_BYTES)
        return self.receiving().aggregate(ahead=models.Sum(missing))["ahead"] or 0

    def missing_bytes(self) -> int:
        """How many bytes are still to come for the rows at hand, all together."""
        missing = models.Sum(F("size_bytes") - F("offset"))
        return self.receiving().aggregate(missing=missing)["missing"] or 0

    def to_settle(self, *, now: dt.datetime) -> "UploadQuerySet":
        """Those whose time is up, and whole ones whose server died before it had filed them."""
        return self.receiving().filter(Q(expires_at__lt=now) | Q(offset=F("size_bytes")))

    def ended(self, *, before: dt.datetime) -> "UploadQuerySet":
        """Those that ended, and that nobody has asked for since `before`."""
        return self.exclude(state=UploadState.RECEIVING).filter(expires_at__lt=before)
