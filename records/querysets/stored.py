"""Which rows have a file in the store, and what is known of it."""

import datetime as dt
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

Row = TypeVar("Row", bound=models.Model, covariant=True)


class StoredFileQuerySet(models.QuerySet[Row]):
    """Reads of rows that are `records.models.StoredFile`."""

    def stored(self) -> Self:
        """Those with a file: none of destroyed studies, or of what was discarded."""
        return self.exclude(file="")

    def damaged(self) -> Self:
        """Those whose file was found altered or missing when it was last read."""
        return self.exclude(damage="")

    def unchecked_since(self, moment: dt.datetime, *, damaged_since: dt.datetime) -> Self:
        """Stored ones not read since then, damaged ones not since theirs; never read ones first."""
        unread = Q(checked_at__isnull=True) | Q(checked_at__lt=moment)
        looked_for = ~Q(damage="") & Q(checked_at__lt=damaged_since)
        due = self.stored().filter(unread | looked_for)
        return due.order_by(F("checked_at").asc(nulls_first=True), "pk")

    def longest_unread_since(self) -> dt.datetime | None:
        """When the file that was read longest ago was read, or came in; None where there is none.

        By the index alone, however many there are.
        """
        rows = self.stored().order_by(F("checked_at").asc(nulls_first=True))
        found = rows.values_list("checked_at", "created_at").first()
        return None if found is None else found[0] or found[1]

    def totals(self) -> dict[str, Any]:
        """How many files of how many bytes are stored, how many were never read, since when."""
        return self.stored().aggregate(
            files=models.Count("pk"),
            size_bytes=Coalesce(models.Sum("size_bytes"), 0),
            never_checked=models.Count("pk", filter=Q(checked_at__isnull=True)),
            oldest_check_at=models.Min("checked_at"),
            damaged=models.Count("pk", filter=~Q(damage="")),
        )
