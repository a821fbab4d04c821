"""Lists of the API, each page of which is noted in the audit trail."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.actions import AuditAction
from accounts.parameters import CURSOR, PAGE_SIZE
from records.accesses import record_list_read
from records.models import Study

CONTROLS = frozenset({CURSOR, PAGE_SIZE, "ordering", "updated_since"})
"""The parameters by which nothing is searched."""


class ToldListViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """A list that shows patients' data; `list_action` is what reading it is called."""

    lookup_value_converter = "uuid"
    list_action: ClassVar[AuditAction]
    shown: Sequence[Any] = ()

    def paginate_queryset(self, queryset: QuerySet[Any] | Sequence[Any]) -> list[Any] | None:
        """Keep the rows that the answer shows."""
        page: list[Any] | None = super().paginate_queryset(queryset)
        self.shown = page or ()
        return page

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of rows."""
        answer = super().list(request, *args, **kwargs)
        given = {name: request.query_params.getlist(name) for name in sorted(request.query_params)}
        used = {name: values for name, values in given.items() if name not in CONTROLS}
        record_list_read(
            actor=signed_in_user(request),
            action=self.list_action,
            place=str(self.basename),
            filters=dict.fromkeys(used, ""),
            searched=[value for values in used.values() for value in values],
            rows=self.shown,
            is_continued=CURSOR in given,
            study=None if self.shown else self._study_asked_for(request),
        )
        return answer

    def _study_asked_for(self, request: Request) -> Study | None:
        """The study of an empty list, where the caller may see it."""
        given = request.query_params.get("study")
        visible = Study.objects.visible_to(signed_in_user(request))
        return visible.filter(pk=given).first() if given else None
