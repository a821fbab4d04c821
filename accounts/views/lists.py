"""What the filtered lists of this app have in common."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views import View

from accounts.access import VerbRequiredMixin
from accounts.paging import paginate


class FilteredListView(VerbRequiredMixin, View):
    """A list with filters and "Load more". Filters are posted: addresses end up in logs."""

    filter_form_class: type[forms.Form]
    template_name: str
    rows_template_name: str
    rows_name: str
    key: tuple[str, ...]

    def make_filter_form(self, params: QueryDict | None) -> forms.Form:
        """Return the form; lists whose choices depend on the person override this."""
        return self.filter_form_class(params)

    def find_rows(self, filters: dict[str, Any]) -> QuerySet[Any]:
        """Return the rows that pass `filters`, a form's cleaned data."""
        raise NotImplementedError

    def more_context(self, rows: QuerySet[Any]) -> dict[str, Any]:
        """What the page shows besides."""
        return {}

    def after_reading(self, form: forms.Form, rows: Sequence[Any]) -> None:
        """Note the access, where the rows are sensitive; a form that was refused shows none."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw the page."""
        return self._draw(request, request.GET)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Draw the page for posted filters, or the next rows."""
        return self._draw(request, request.POST)

    def _draw(self, request: HttpRequest, params: QueryDict) -> HttpResponse:
        form = self.make_filter_form(params or None)
        rows: QuerySet[Model] = self._rows_for(request, form)
        page = paginate(rows, key=self.key, after=params.get("cursor"))
        self.after_reading(form, page.items)
        context = {
            "filter_form": form,
            "next_cursor": page.next_cursor,
            self.rows_name: page.items,
        }
        if request.headers.get("HX-Request") and params.get("cursor"):
            return render(request, self.rows_template_name, context)
        return render(request, self.template_name, context | self.more_context(rows))

    def _rows_for(self, request: HttpRequest, form: forms.Form) -> QuerySet[Any]:
        if not form.is_bound:
            return self.find_rows({})
        if form.is_valid():
            return self.find_rows(form.cleaned_data)
        for name, errors in form.errors.items():
            label = form.fields[name].label if name in form.fields else ""
            words = " ".join(str(error) for error in errors)
            messages.error(request, f"{label}: {words}")
        return self.find_rows({}).none()
