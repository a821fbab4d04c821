"""Reads of DICOM nodes."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from records.models import DicomNode  # noqa: F401 - in strings


class DicomNodeQuerySet(models.QuerySet["DicomNode"]):
    """Reads of DICOM nodes."""

    def destinations_for(self, node: "DicomNode") -> "DicomNodeQuerySet":
        """Nodes to which `node` may have images sent: of its own department, with an address."""
        return self.filter(department=node.department_id).exclude(host="")
