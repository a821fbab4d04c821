"""Reads of de-identified copies."""

import datetime as dt
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, OuterRef, Q

from accounts.counting import count_of
from accounts.roles import Verb
from records.choices import UNFINISHED_EXPORTS, ExportState
from records.querysets.studies import StudyQuerySet

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import Export, Study  # noqa: F401 - in strings


class ExportQuerySet(models.QuerySet["Export"]):
    """Reads of de-identified copies."""

    def visible_to(self, user: "User") -> "ExportQuerySet":
        """Exports of the departments from which `user` may export; none of a deleted study."""
        return self.of_kept_studies().filter(
            department__in=user.department_ids_for(Verb.STUDY_EXPORT)
        )

    def of_kept_studies(self) -> "ExportQuerySet":
        """Those none of whose studies was deleted."""
        studies = StudyQuerySet(self.model.studies.rel.model)
        return self.filter(~Exists(studies.deleted().filter(exports=OuterRef("pk"))))

    def unfinished_of(self, study: "Study") -> "ExportQuerySet":
        """Those that hold a copy of one study, or still mean to."""
        return self.of_study(study).filter(state__in=UNFINISHED_EXPORTS)

    def of_study(self, study: "Study") -> "ExportQuerySet":
        """Those that hold a copy of one study."""
        return self.filter(studies=study)

    def with_listing(self) -> "ExportQuerySet":
        """Fetch what a list row shows."""
        held = self.model.studies.through.objects.filter(export=OuterRef("pk"))
        counted = self.annotate(study_count=count_of(held, "export"))
        return counted.select_related("requested_by", "department")

    def outdated(self, *, before: dt.datetime) -> "ExportQuerySet":
        """Copies that were ready before then and still have their file."""
        return self.filter(state=ExportState.READY, ready_at__lt=before)

    def waiting(self, *, before: dt.datetime) -> "ExportQuerySet":
        """Those to be prepared that nobody has begun, or worked on since `before`."""
        untouched = Q(touched_at__isnull=True) | Q(touched_at__lt=before)
        return self.filter(untouched, state=ExportState.PREPARING)
