"""How many rows a parent has."""

from typing import Any

from django.db.models import Count, QuerySet, Subquery
from django.db.models.functions import Coalesce


def count_of(rows: QuerySet[Any], parent: str) -> Coalesce:
    """Count the rows of an outer row's `parent`, without a join that would repeat it."""
    counted = rows.order_by().values(parent).annotate(found=Count("pk")).values("found")
    return Coalesce(Subquery(counted), 0)
