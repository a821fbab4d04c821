"""Keyset paging: stable while rows arrive, and as fast on the last page as on the first."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request


class KeysetPagination(CursorPagination):
    """Pages in the order of the view's `ordering`, else its queryset's, then by key."""

    page_size_query_param = "page_size"
    max_page_size = 200

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        ordering = getattr(view, "ordering", None) or queryset.query.order_by
        ordering = ordering or queryset.model._meta.ordering or ()
        fields = (ordering,) if isinstance(ordering, str) else tuple(ordering)
        return fields if fields[-1:] in (("pk",), ("-pk",), ("id",), ("-id",)) else (*fields, "-pk")
