"""How many rows a parent has.

Counted in a query of its own: with a join, the parents come grouped, and Django then leaves their
model's ordering out.
"""

from typing import Any

from django.db.models import Count, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce


def count_of(rows: QuerySet[Any], parent: str, *, of: str = "pk") -> Coalesce:
    """Count the different values of `of` among the rows whose `parent` is an outer row."""
    counted = rows.order_by().values(parent).annotate(found=Count(of, distinct=of != "pk"))
    return Coalesce(Subquery(counted.values("found")), 0)


def sum_of(rows: QuerySet[Any], parent: str, *, of: str) -> Coalesce:
    """Add up `of` over the rows whose `parent` is an outer row."""
    added = rows.order_by().values(parent).annotate(found=Sum(of))
    return Coalesce(Subquery(added.values("found")), 0)
