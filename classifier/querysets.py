"""Every read of the classifier app."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Count, Exists, Min, OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Greatest, Now

from accounts.roles import Verb
from accounts.settled import settled_before
from classifier.choices import ACTIVE_STATES, ENDED_STATES, ClassificationState
from records.models import Instance
from records.querysets import patient_matching

if TYPE_CHECKING:
    from accounts.models import User
    from classifier.models import Classification, ModelVersion, ReviewDraft
    from records.models import Study

WORKLIST_ORDER = ("-priority", "queued_at", "id")
"""Urgent before routine (which is also their alphabetical order, downwards), then by age."""

REVIEWED_ORDER = ("-review__created_at", "-id")
"""Of what a person has decided on: the latest decision first."""


class ModelVersionQuerySet(models.QuerySet[Any]):
    """Reads of model versions."""

    def visible_to(self, user: "User") -> "ModelVersionQuerySet":
        """Every version, for those whose role looks at models."""
        return self if user.has_verb(Verb.MODEL_VIEW) else self.none()

    def with_validations(self) -> "ModelVersionQuerySet":
        """Fetch the statements about sources that go with each."""
        rows = SourceValidationQuerySet(self.model.source_validations.rel.related_model)
        statements = rows.with_listing()
        return self.prefetch_related(Prefetch("source_validations", statements))

    def with_live(self) -> "ModelVersionQuerySet":
        """Add `live_id`, the version that answers the same task now."""
        deployments = DeploymentQuerySet(self.model.deployments.rel.related_model)
        newest = deployments.filter(task=OuterRef("task")).order_by("-id")
        found: ModelVersionQuerySet = self.annotate(
            live_id=Subquery(newest.values("model_version_id")[:1])
        )
        return found


class DeploymentQuerySet(models.QuerySet[Any]):
    """Reads of deployments."""

    def live_version(self, task: str) -> "ModelVersion | None":
        """The version that answers `task` now, or None."""
        newest = self.filter(task=task).select_related("model_version").order_by("-id").first()
        return newest.model_version if newest else None


class SourceValidationQuerySet(models.QuerySet[Any]):
    """Reads of statements that a version was validated on a source of images."""

    def standing(self) -> "SourceValidationQuerySet":
        """Those that nobody has withdrawn."""
        return self.filter(withdrawn_at__isnull=True)

    def with_listing(self) -> "SourceValidationQuerySet":
        """Fetch what a row shows."""
        return self.select_related("department", "stated_by", "withdrawn_by")


class ClassificationQuerySet(models.QuerySet[Any]):
    """Reads of classifications."""

    def visible_to(self, user: "User") -> "ClassificationQuerySet":
        """Classifications of the studies that `user` may look at; not of deleted ones."""
        return self.of_kept_studies().filter(
            study__department__in=user.department_ids_for(Verb.STUDY_VIEW)
        )

    def of_kept_studies(self) -> "ClassificationQuerySet":
        """Those of studies that nobody has deleted."""
        return self.filter(study__deleted_at__isnull=True)

    def withdrawn(self) -> "ClassificationQuerySet":
        """Those that a worker still has to do something for, of studies that were deleted."""
        return self.filter(state__in=ACTIVE_STATES, study__deleted_at__isnull=False)

    def restored(self) -> "ClassificationQuerySet":
        """Cancelled ones of studies that were restored, unless another stands in their place."""
        instead = self.model.objects.current().filter(
            study=OuterRef("study"), task=OuterRef("task")
        )
        return self.of_kept_studies().filter(~Exists(instead), state=ClassificationState.CANCELLED)

    def current(self) -> "ClassificationQuerySet":
        """Without those that were superseded or cancelled."""
        return self.exclude(state__in=ENDED_STATES)

    def with_changes(self) -> "ClassificationQuerySet":
        """Add `last_change_at`, of answer, study or patient; leave out what isn't settled yet."""
        changed = self.annotate(
            last_change_at=Greatest("updated_at", "study__updated_at", "study__patient__updated_at")
        )
        settled: ClassificationQuerySet = changed.filter(last_change_at__lt=settled_before())
        return settled

    def with_listing(self) -> "ClassificationQuerySet":
        """Fetch what a list row shows."""
        return self.select_related(
            "study__patient",
            "study__department",
            "model_version",
            "review__reviewer",
            "review__responsible",
        )

    def by_study(self, studies: Iterable["Study"]) -> list[tuple["Study", "Classification | None"]]:
        """Each of `studies`, in their order, with each of these rows; with None if it has none."""
        studies = list(studies)
        found: dict[Any, list[Classification | None]] = {}
        for row in self.filter(study__in=studies).order_by("task", "-queued_at"):
            found.setdefault(row.study_id, []).append(row)
        return [(study, row) for study in studies for row in found.get(study.pk, [None])]

    def matching(self, text: str) -> "ClassificationQuerySet":
        """Classifications of studies that match `text`."""
        text = text.strip()
        if not text:
            return self
        return self.filter(
            patient_matching(text, prefix="study__patient__")
            | Q(study__accession_number__istartswith=text)
            | Q(study__study_instance_uid=text)
        )

    def filtered(self, filters: dict[str, Any]) -> "ClassificationQuerySet":
        """Rows that pass every filter given: text, states, task, priority, and so on."""
        found = self.matching(filters.get("q") or "")
        if filters.get("state"):
            found = found.filter(state__in=filters["state"])
        if filters.get("department"):
            found = found.filter(study__department=filters["department"])
        if filters.get("since"):
            found = found.filter(queued_at__gte=filters["since"])
        exact = ("task", "priority", "study")
        return found.filter(**{name: filters[name] for name in exact if filters.get(name)})

    def waiting(self) -> "ClassificationQuerySet":
        """Those of kept studies that were tried, and wait for what is no fault of the study's."""
        active = self.of_kept_studies().filter(state__in=ACTIVE_STATES)
        return active.exclude(waiting_code="")

    def failed(
        self, *, code: str = "", task: str = "", since: dt.datetime | None = None
    ) -> "ClassificationQuerySet":
        """Those that failed, of kept studies: for a reason, of a task, since a moment."""
        given = {"failure_code": code, "task": task, "finished_at__gte": since}
        chosen = {name: value for name, value in given.items() if value}
        return self.of_kept_studies().filter(state=ClassificationState.FAILED, **chosen)

    def counts_by_state(self, states: Sequence[str]) -> dict[str, int]:
        """How many there are in each of `states`."""
        rows = self.filter(state__in=states).order_by().values_list("state")
        return dict(rows.annotate(n=Count("pk")))

    def counts_up_to(self, most: int, states: Sequence[str]) -> dict[str, int]:
        """As `counts_by_state`, but counting no further than `most`: it costs no more than that."""
        rows = self.order_by()
        return {state: rows.filter(state=state)[:most].count() for state in states}

    def queue_lengths(self) -> list[dict[str, Any]]:
        """What is queued: how many rows of each task, priority and waiting code, and since when."""
        rows = self.filter(state=ClassificationState.QUEUED).order_by()
        grouped = rows.values("task", "priority", "waiting_code")
        return list(grouped.annotate(length=Count("pk"), oldest_at=Min("queued_at")))

    def expired(self) -> "ClassificationQuerySet":
        """Running ones whose worker let the lease run out."""
        return self.filter(state=ClassificationState.RUNNING, lease_expires_at__lt=Now())

    def due(self, *, priority: str, only: bool = False) -> "ClassificationQuerySet":
        """Queued ones that a worker may take now, in the order in which they are taken.

        Those of at least `priority`, or of this one `only`; none of a deleted study.
        """
        waiting = self.of_kept_studies().filter(state=ClassificationState.QUEUED, due_at__lte=Now())
        wanted = {"priority": priority} if only else {"priority__gte": priority}
        return waiting.filter(**wanted).order_by(*WORKLIST_ORDER)

    def healed(self, *, codes: Iterable[str]) -> "ClassificationQuerySet":
        """Current ones that failed with one of `codes`, and whose files are all whole since."""
        files = Instance.objects.filter(series__study=OuterRef("study"))
        return self.of_kept_studies().filter(
            Exists(files.filter(healed_at__gt=OuterRef("finished_at"))),
            ~Exists(files.damaged()),
            state=ClassificationState.FAILED,
            failure_code__in=codes,
        )


class ReviewDraftQuerySet(models.QuerySet["ReviewDraft"]):
    """Reads of what is written and not signed."""

    def of(self, user: "User", classification: "Classification") -> "ReviewDraft | None":
        """What this very person has begun to write about a classification."""
        draft = self.filter(person=user, classification=classification).first()
        return None if draft is None or draft.is_blank else draft

    def of_purged_studies(self) -> "ReviewDraftQuerySet":
        """Those about studies that are destroyed."""
        return self.filter(classification__study__purged_at__isnull=False)
