"""The API's lists in pages: the keyset pager of the pages, behind `cursor` and `page_size`."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from accounts.paging import PAGE_SIZE as DEFAULT_PAGE_SIZE
from accounts.paging import Page, paginate
from accounts.parameters import CURSOR, PAGE_SIZE

MAX_PAGE_SIZE = 200


class KeysetPagination(BasePagination):
    """Pages in the order of the view's `ordering`, else its queryset's, then by key."""

    request: Request
    page: Page[Any]

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of one page; raises ValidationError and CursorInvalid."""
        self.request = request
        given = dict(request.query_params.lists())
        self.page = paginate(
            queryset,
            key=self.get_ordering(request, queryset, view),
            after=request.query_params.get(CURSOR),
            size=self.read_size(request),
            filters={name: given[name] for name in given.keys() - {CURSOR, PAGE_SIZE}},
        )
        return self.page.items

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Every field that the rows are in order of; the last one is unique."""
        ordering = getattr(view, "ordering", None) or queryset.query.order_by
        ordering = ordering or queryset.model._meta.ordering or ()
        fields = (ordering,) if isinstance(ordering, str) else tuple(ordering)
        return fields if fields[-1:] in (("pk",), ("-pk",), ("id",), ("-id",)) else (*fields, "-pk")

    def read_size(self, request: Request) -> int:
        """How many rows a page has; raises ValidationError."""
        text = request.query_params.get(PAGE_SIZE)
        if text is None:
            return DEFAULT_PAGE_SIZE
        if not (text.isascii() and text.isdigit() and len(text) < 9):
            text = "0"
        if not 1 <= int(text) <= MAX_PAGE_SIZE:
            words = f"It is a whole number from 1 to {MAX_PAGE_SIZE}."
            raise ValidationError({PAGE_SIZE: [ErrorDetail(words, code="invalid")]})
        return int(text)

    def get_paginated_response(self, data: Any) -> Response:
        """The rows, and the address of the next page or null."""
        return Response({"next": self._next_address(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """How the OpenAPI document describes a page."""
        address = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": address | {"description": "The next page; null on the last one."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The parameters of a list."""
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}
        return [
            {
                "name": CURSOR,
                "in": "query",
                "required": False,
                "description": "Where the page begins, as `next` has it.",
                "schema": {"type": "string", "format": "cursor"},
            },
            {
                "name": PAGE_SIZE,
                "in": "query",
                "required": False,
                "description": "How many rows a page has.",
                "schema": size | {"default": DEFAULT_PAGE_SIZE},
            },
        ]

    def _next_address(self) -> str | None:
        if self.page.next_cursor is None:
            return None
        here = self.request.build_absolute_uri()
        return str(replace_query_param(here, CURSOR, self.page.next_cursor))
