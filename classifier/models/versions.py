"""Which networks exist, and which of them was live when."""

import uuid
from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models import User
from classifier.choices import ROUTER_TASK, MapStanding, Stage
from classifier.querysets import DeploymentQuerySet, ModelVersionQuerySet
from classifier.task_registry import TASK_TITLES
from records.models.imaging import REASON_LENGTH

RESEARCH_SENTENCE = "Research model: below its release gate. Not for use in a decision."
"""Stands beside every result of a research bundle, wherever it is shown."""

UNTRUSTED_SENTENCE = (
    "Research model: not signed by a key that this site trusts. Not for use in a decision."
)
"""Instead of it, where nobody answers for what the bundle says of itself."""


UNPROVEN_MAPS = "This model's maps were not shown to point at disease."
UNMEASURED_MAPS = "Whether this model's maps point at disease was not measured."


DEFAULT_OPERATING_POINT = 0.5
"""Of a disease for which a manifest names none; as in `ml.aggregation`, which decides by it."""


class ModelVersion(models.Model):
    """One trained network, known by the digest of its bundle's manifest.

    The manifest is kept here whole, so that what a result was made with can be read
    for as long as the result. `signed_by` is the id of the trusted key that signed the bundle
    when it was last registered; without one the stage is research, whatever the manifest says.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.CharField(max_length=20)
    version = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, unique=True)
    stage = models.CharField(max_length=10, choices=Stage.choices)
    signed_by = models.CharField(max_length=16, blank=True, default="", db_default="")
    manifest = models.JSONField()
    model_card = models.TextField(blank=True)
    registered_at = models.DateTimeField(default=timezone.now)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        """By task, newest first."""

        ordering = ("task", "-registered_at")

    def __str__(self) -> str:
        """Return task and version."""
        return f"{self.task} {self.version}"

    @property
    def task_title(self) -> str:
        """Its task in words; of a task that no bundle brings any more, the name."""
        return TASK_TITLES.get(self.task, self.task)

    @property
    def is_research(self) -> bool:
        """Tell whether it is below its release gate, or nobody trusted says that it isn't."""
        return self.stage == Stage.RESEARCH

    @property
    def stage_sentence(self) -> str:
        """What has to be said of its results; nothing of a released one's."""
        if not self.is_research:
            return ""
        return RESEARCH_SENTENCE if self.signed_by else UNTRUSTED_SENTENCE

    @property
    def is_own_source_only(self) -> bool:
        """Tell whether its operating points were not shown to hold on a second source."""
        return bool((self.manifest.get("transfer") or {}).get("is_own_source_only"))

    @property
    def unproven_diseases(self) -> list[str]:
        """The diseases, in words, for which no second source showed it."""
        found = (self.manifest.get("transfer") or {}).get("unproven", [])
        return [self.display_of(label) for label in found]

    @property
    def map_standing(self) -> MapStanding:
        """What its bundle measured of its heat maps; good news only by a trusted signer's word."""
        standing = (self.manifest.get("maps") or {}).get("standing")
        if standing == MapStanding.UNPROVEN:
            return MapStanding.UNPROVEN
        is_supported = standing == MapStanding.SUPPORTED and bool(self.signed_by)
        return MapStanding.SUPPORTED if is_supported else MapStanding.NOT_MEASURED

    @property
    def has_unproven_maps(self) -> bool:
        """Tell whether its heat maps are folded away."""
        return self.map_standing == MapStanding.UNPROVEN

    @property
    def map_sentence(self) -> str:
        """What has to be said of its heat maps, with the figures; nothing of supported ones."""
        if self.map_standing == MapStanding.SUPPORTED:
            return ""
        if self.map_standing == MapStanding.NOT_MEASURED:
            return UNMEASURED_MAPS
        return " ".join((UNPROVEN_MAPS, *self.manifest["maps"].get("reasons", ())))

    @property
    def is_router(self) -> bool:
        """Tell whether it chooses the task instead of answering one."""
        return self.task == ROUTER_TASK

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the network's outputs."""
        return list(self.manifest["labels"])

    @property
    def label_table(self) -> list[dict[str, Any]]:
        """What each label means: `name`, `display`, `code`, `threshold`, `is_disease`."""
        return [
            {
                "name": label,
                "display": self.display_of(label),
                "code": self.code_of(label),
                "threshold": self.threshold_of(label),
                "is_disease": self.is_finding(label),
            }
            for label in self.labels
        ]

    def display_of(self, label: str) -> str:
        """The words for a label: the meaning of its code."""
        code = self.code_of(label)
        return str(code["meaning"]) if code else label.replace("_", " ").capitalize()

    def code_of(self, label: str) -> dict[str, str] | None:
        """The code of a label: `value`, `scheme` (SCT for SNOMED CT) and `meaning`."""
        found: dict[str, str] | None = self.manifest["codes"].get(label)
        return found

    def is_finding(self, label: str) -> bool:
        """Tell whether a label is one of the version's and says more than "normal"."""
        return label in self.labels and label != self.manifest["normal_label"]

    def threshold_of(self, label: str) -> float | None:
        """The operating point of a disease label; None for the normal one, and of the router."""
        if self.is_router or label == self.manifest["normal_label"] or label not in self.labels:
            return None
        found = self.manifest["operating"]["thresholds"].get(label, DEFAULT_OPERATING_POINT)
        return float(found)

    def is_in_band(self, label: str, probability: float) -> bool:
        """Tell whether a probability lies in the label's indeterminate band."""
        band = self.manifest["operating"].get("bands", {}).get(label)
        return band is not None and band[0] <= probability < band[1]


class Deployment(models.Model):
    """Which version answers a task from `deployed_at` on. Append-only: a trigger refuses change.

    The newest row of a task is the live one; `model_version` empty means that the task
    was taken out of use. `reason` is why a version took over that falls short of the one before.
    """

    id = models.BigAutoField(primary_key=True)
    task = models.CharField(max_length=20)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="deployments", null=True
    )
    deployed_at = models.DateTimeField(default=timezone.now)
    deployed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="deployments", null=True
    )
    reason = models.CharField(max_length=REASON_LENGTH, blank=True, default="", db_default="")

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        """Newest first."""

        ordering = ("-id",)
        indexes = (models.Index(fields=("task", "-id"), name="deployment_task"),)

    def __str__(self) -> str:
        """Return what was put live where."""
        return f"{self.task}: {self.model_version}"
