"""Which series and instances one may see."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, OuterRef

from accounts.counting import count_of
from accounts.roles import Verb
from records.querysets.stored import StoredFileQuerySet

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import DicomNode, Instance, Series, Study  # noqa: F401 - in strings


class SeriesQuerySet(models.QuerySet["Series"]):
    """Reads of series."""

    def visible_to(self, user: "User") -> "SeriesQuerySet":
        """Series of visible studies; none without an instance that belongs to them."""
        return self.with_instances().filter(
            study__deleted_at__isnull=True,
            study__department__in=user.department_ids_for(Verb.STUDY_VIEW),
        )

    def visible_to_node(self, node: "DicomNode") -> "SeriesQuerySet":
        """Series of the studies that a DICOM node sees."""
        return self.with_instances().filter(
            study__deleted_at__isnull=True, study__department=node.department_id
        )

    def with_instances(self) -> "SeriesQuerySet":
        """Those that hold more than what a reversed decision took out of them."""
        return self.filter(Exists(self._instances.filter(series=OuterRef("pk"))))

    def with_answer(self) -> "SeriesQuerySet":
        """Fetch what a DICOM query answers about a series."""
        instances = self._instances.filter(series=OuterRef("pk"))
        return self.select_related("study__patient").annotate(
            instance_count=count_of(instances, "series")
        )

    def with_counts(self) -> "SeriesQuerySet":
        """Add `image_count`, the number of instances that can be looked at."""
        images = self._instances.filter(series=OuterRef("pk"), number_of_frames__gt=0)
        return self.annotate(image_count=count_of(images, "series"))

    @property
    def _instances(self) -> "InstanceQuerySet":
        return InstanceQuerySet(self.model.instances.rel.related_model).belonging()


class InstanceQuerySet(StoredFileQuerySet["Instance"]):
    """Reads of instances."""

    def belonging(self) -> "InstanceQuerySet":
        """Those that belong to their studies: not what a reversed decision took out of them."""
        return self.filter(is_withheld=False)

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


_AnyInstance = models.Manager.from_queryset(InstanceQuerySet)


class InstanceManager(_AnyInstance):  # type: ignore[type-arg]  # made at run time, it takes none
    """The instances that belong to their studies: those withheld are left out."""

    use_in_migrations = False  # migrations import no app code

    def get_queryset(self) -> InstanceQuerySet:
        """Leave out what a reversed decision took out of its study."""
        return InstanceQuerySet(self.model, using=self._db).belonging()
