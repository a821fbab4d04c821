"""DICOM nodes: the devices and archives that may speak DICOM with us."""

import ipaddress
import re
import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import Department, User
from records.querysets import DicomNodeQuerySet

AE_TITLE_LENGTH = 16
AE_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?")


def validate_ae_title(value: str) -> None:
    """Refuse what PS3.5 doesn't take as an AE title; raises ValidationError."""
    if len(value) > AE_TITLE_LENGTH or not AE_TITLE.fullmatch(value):
        raise ValidationError(
            "An AE title has 1 to 16 plain characters, without a backslash.", code="ae_title"
        )


def validate_network(value: str) -> None:
    """Refuse what is neither an IP address nor a network; raises ValidationError."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValidationError(
            "“%(value)s” is neither an IP address nor a network such as 10.1.2.0/24.",
            code="network",
            params={"value": value},
        ) from error


class DicomNode(models.Model):
    """A device or archive: its AE title, where it calls from, and what it may do.

    What it stores is filed in its department, and it finds that department's studies only.
    `host` and `port` are where a C-MOVE sends images to, by TLS if `uses_tls`; without them it
    is no destination.

    What takes images away (searching, retrieving, being sent images) is in force once a person
    of the department has confirmed it. From a change on, `waiting_since` is set and the node may
    only store; `changed_by`, and `changed_through` who stood behind that session, can't confirm
    it. `revision` counts the changes, so that nobody confirms what they haven't read.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ae_title = models.CharField(
        "AE title", max_length=AE_TITLE_LENGTH, unique=True, validators=[validate_ae_title]
    )
    description = models.CharField(max_length=120, blank=True)
    department = models.ForeignKey(Department, on_delete=models.PROTECT, related_name="nodes")
    addresses = ArrayField(models.CharField(max_length=43, validators=[validate_network]))
    can_store = models.BooleanField(default=True)
    can_query = models.BooleanField(default=False)
    can_retrieve = models.BooleanField(default=False)
    host = models.CharField(max_length=253, blank=True)
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    uses_tls = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    revision = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    waiting_since = models.DateTimeField(null=True, editable=False)
    changed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    changed_through = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    confirmed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, editable=False
    )
    confirmed_at = models.DateTimeField(null=True, editable=False)

    objects = DicomNodeQuerySet.as_manager()

    class Meta:
        """By AE title. A node calls from somewhere, and is a destination wholly or not at all."""

        ordering = ("ae_title",)
        verbose_name = "DICOM node"
        constraints = (
            models.CheckConstraint(
                condition=Q(addresses__len__gt=0), name="dicom_node_calls_from_somewhere"
            ),
            models.CheckConstraint(
                condition=Q(host="", port__isnull=True)
                | (~Q(host="") & Q(port__isnull=False, port__gte=1, port__lte=65535)),
                name="dicom_node_host_with_port",
            ),
        )

    def __str__(self) -> str:
        """Return the AE title."""
        return self.ae_title

    @property
    def is_destination(self) -> bool:
        """Tell whether it has an address that images could be sent to."""
        return bool(self.host)

    @property
    def takes_images_away(self) -> bool:
        """Tell whether it is to search, retrieve or be sent images, confirmed or not."""
        return self.can_query or self.can_retrieve or self.is_destination

    @property
    def is_waiting(self) -> bool:
        """Tell whether a person of the department has yet to confirm that."""
        return self.waiting_since is not None

    @property
    def may_query(self) -> bool:
        """Tell whether it may search now."""
        return self.can_query and not self.is_waiting

    @property
    def may_retrieve(self) -> bool:
        """Tell whether it may retrieve now."""
        return self.can_retrieve and not self.is_waiting

    def calls_from(self, address: str) -> bool:
        """Tell whether `address` is one that this node may call from."""
        caller = ipaddress.ip_address(address)
        if isinstance(caller, ipaddress.IPv6Address):
            caller = caller.ipv4_mapped or caller
        networks = (ipaddress.ip_network(entry, strict=False) for entry in self.addresses)
        return any(caller in network for network in networks)
