"""What keeps a study, what is left of one that was destroyed, and files nobody points to."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import User
from records.models.imaging import REASON_LENGTH, Study
from records.querysets import LegalHoldQuerySet, UnreferencedFileQuerySet


class LegalHold(models.Model):
    """An order to keep a study, whatever anybody or any retention says, until it is lifted.

    A study may be under several: each matter has its own.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="holds")
    reason = models.CharField(max_length=REASON_LENGTH)
    placed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="holds_placed", null=True
    )
    placed_at = models.DateTimeField(default=timezone.now)
    lifted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="holds_lifted", null=True
    )
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.CharField(max_length=REASON_LENGTH, blank=True)

    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        """Newest first; placed and lifted with a reason."""

        ordering = ("-placed_at", "-id")
        constraints = (
            models.CheckConstraint(condition=~models.Q(reason=""), name="legal_hold_says_why"),
            models.CheckConstraint(
                condition=models.Q(lifted_at__isnull=True) | ~models.Q(lift_reason=""),
                name="legal_hold_lifted_says_why",
            ),
        )

    def __str__(self) -> str:
        """Return the id and whether it still stands."""
        return f"Legal hold {self.id}: {'lifted' if self.lifted_at else 'stands'}"


class StudyTombstone(models.Model):
    """What a destroyed study was; a trigger refuses change. No patient's data.

    `instances` holds for each object its series' and its own UID, its hashes and its size.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.OneToOneField(Study, on_delete=models.PROTECT, related_name="tombstone")
    study_instance_uid = models.CharField(max_length=64, db_index=True)
    instances = models.JSONField()
    received_at = models.DateTimeField()
    deleted_at = models.DateTimeField()
    deleted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    deletion_reason = models.CharField(max_length=REASON_LENGTH)
    purged_at = models.DateTimeField()

    class Meta:
        """Newest first."""

        ordering = ("-purged_at", "-id")

    def __str__(self) -> str:
        """Return the UID."""
        return f"Tombstone of study {self.study_instance_uid}"


class UnreferencedFile(models.Model):
    """A file in the store that no row points to, and from when on it may be removed.

    Found by a walk through the store (a crash between storing a file and committing its row
    leaves one), or written down by whoever took its row away. Before it is removed, it is
    asked again whether any row points to it.
    """

    name = models.CharField(primary_key=True, max_length=200)
    size_bytes = models.PositiveBigIntegerField()
    found_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(db_index=True)

    objects = UnreferencedFileQuerySet.as_manager()

    class Meta:
        """In the order in which they go."""

        ordering = ("due_at", "name")

    def __str__(self) -> str:
        """Return the name, which is a hash."""
        return self.name


class StoreIdentity(models.Model):
    """Which store is this database's: the one whose marker has the same id. One row.

    `adopted_at` is when that marker was put there, None until then: before that an empty place is
    a new store, and from then on one that isn't mounted. `epoch` is the number that both sides were
    given last.
    """

    number = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    store_id = models.UUIDField(default=uuid.uuid4)
    adopted_at = models.DateTimeField(null=True)
    epoch = models.PositiveBigIntegerField(default=0, db_default=0)

    class Meta:
        """There is one store."""

        constraints = (
            models.CheckConstraint(condition=models.Q(number=1), name="store_identity_once"),
        )
        verbose_name_plural = "store identities"

    def __str__(self) -> str:
        """Return the id."""
        return f"Store {self.store_id}"
