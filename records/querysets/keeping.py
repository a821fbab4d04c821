"""Reads of legal holds and of files that no row points to."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Coalesce

from accounts.roles import Verb

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import LegalHold, UnreferencedFile  # noqa: F401 - in strings


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
