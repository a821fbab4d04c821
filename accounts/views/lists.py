"""What the filtered lists of this app have in common."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.filters import FilterForm
from accounts.paging import paginate
from accounts.parameters import CURSOR, SEARCH
from accounts.services import recall_search, remember_search

NOT_REMEMBERED = "This search is yours no more: it was made by somebody else, or over a day ago."


class SeeOther(HttpResponseRedirect):
    """What a search answers: its result has an address of its own, which Back comes back to."""

    status_code = HTTPStatus.SEE_OTHER


class FilteredListView(VerbRequiredMixin, View):
    """A list with filters and "Load more".

    What people search for may be a name, and addresses end up in logs: filters are posted, and
    the answer leads to an address that holds the id of the search alone.
    """

    filter_form_class: type[FilterForm]
    template_name: str
    rows_template_name: str
    rows_name: str
    key: tuple[str, ...]

    def make_filter_form(self, params: QueryDict | None) -> FilterForm:
        """Return the form; lists whose choices depend on the person override this."""
        return self.filter_form_class(params)

    def find_rows(self) -> QuerySet[Any]:
        """Return every row that the person may see; the form narrows them."""
        raise NotImplementedError

    def more_context(self, form: FilterForm, rows: QuerySet[Any]) -> dict[str, Any]:
        """What the page shows besides."""
        return {}

    def after_reading(self, form: FilterForm, rows: Sequence[Any]) -> None:
        """Note the access, where the rows are sensitive; a form that was refused shows none."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw the page, for the filters in its address or for a search that is remembered."""
        key = request.GET.get(SEARCH)
        if key is None:
            return self._draw(request, request.GET)
        fields = recall_search(actor=signed_in_user(request), place=self._place(), key=key)
        if fields is None:
            messages.error(request, f"{NOT_REMEMBERED} Search again.")
            return self._draw(request, QueryDict(), is_empty=True)
        return self._draw(request, _as_params(fields))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Remember a search and lead to its result, or draw the next rows."""
        if request.POST.get(CURSOR):
            return self._draw(request, request.POST)
        form = self.make_filter_form(request.POST)
        names = (form.add_prefix(name) for name in form.fields)
        fields = {name: request.POST[name] for name in names if request.POST.get(name)}
        if not fields:
            return SeeOther(request.path)
        search = remember_search(actor=signed_in_user(request), place=self._place(), fields=fields)
        return SeeOther(f"{request.path}?{SEARCH}={search.pk}")

    def _place(self) -> str:
        match = self.request.resolver_match
        return match.view_name if match else ""

    def _draw(
        self, request: HttpRequest, params: QueryDict, *, is_empty: bool = False
    ) -> HttpResponse:
        form = self.make_filter_form(params or None)
        rows: QuerySet[Model] = self._rows_for(request, form)
        if is_empty:
            rows = rows.none()
        page = paginate(
            rows,
            key=self.key,
            after=params.get(CURSOR),
            filters={name: params.getlist(name) for name in form.fields},
        )
        self.after_reading(form, page.items)
        context = {
            "filter_form": form,
            "next_cursor": page.next_cursor,
            self.rows_name: page.items,
        }
        status = HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK
        if request.headers.get("HX-Request") and params.get(CURSOR):
            return render(request, self.rows_template_name, context, status=status)
        context |= self.more_context(form, rows)
        return render(request, self.template_name, context, status=status)

    def _rows_for(self, request: HttpRequest, form: FilterForm) -> QuerySet[Any]:
        if not form.errors:
            return form.narrow(self.find_rows())
        for name, errors in form.errors.items():
            label = form.fields[name].label if name in form.fields else ""
            words = " ".join(str(error) for error in errors)
            messages.error(request, f"{label}: {words}")
        return self.find_rows().none()


def _as_params(fields: dict[str, str]) -> QueryDict:
    params = QueryDict(mutable=True)
    params.update(fields)
    return params
