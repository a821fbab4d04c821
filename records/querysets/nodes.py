"""Reads of DICOM nodes."""

from typing import TYPE_CHECKING

from django.db import models

from accounts.roles import Verb

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import DicomNode  # noqa: F401 - in strings


class DicomNodeQuerySet(models.QuerySet["DicomNode"]):
    """Reads of DICOM nodes."""

    def destinations_for(self, node: "DicomNode") -> "DicomNodeQuerySet":
        """Nodes of the same department to which images may be sent: confirmed, with an address."""
        confirmed = self.filter(department=node.department_id, waiting_since__isnull=True)
        return confirmed.exclude(host="")

    def confirmable_by(self, user: "User") -> "DicomNodeQuerySet":
        """Nodes of the departments in which `user` confirms what may take images away."""
        return self.filter(department__in=user.department_ids_for(Verb.NODE_CONFIRM))

    def waiting(self) -> "DicomNodeQuerySet":
        """Those that nobody has confirmed, the longest waiting first."""
        return self.filter(waiting_since__isnull=False).order_by("waiting_since", "id")

    def with_listing(self) -> "DicomNodeQuerySet":
        """Fetch what a list row shows."""
        return self.select_related("department", "changed_by", "changed_through", "confirmed_by")
