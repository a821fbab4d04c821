"""QIDO-RS: searching for studies, series and instances. Answers come from rows alone."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.request import Request

from accounts.access import signed_in_user
from accounts.models import User
from accounts.parameters import Parameters, takes
from accounts.reads import Reads, told_by
from records.accesses import record_list_read
from records.choices import Action
from records.dicom.attributes import Level
from records.dicomweb.querying import CONTROLS, find_rows, read_search, row_attributes
from records.dicomweb.targets import find_series, find_study
from records.dicomweb.views.base import DicomwebView, documents_response
from records.models import Series, Study

MORE = '299 medimaging "There are additional results that can be requested"'

SEARCHED = takes(is_open=True)
"""Keys by keyword or tag. `read_search` refuses those by which nothing is matched."""


class SearchView(DicomwebView):
    """Rows of one level that match the query, in a stable order."""

    reads: ClassVar[Reads] = told_by(Action.STUDIES_SEARCHED)
    parameters: ClassVar[Parameters] = SEARCHED

    level: ClassVar[Level]

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        """Send a page of them: 200, or 204 where nothing matches."""
        user = signed_in_user(request)
        parent = self._find_parent(user, **uids)
        search = read_search(request.query_params)
        rows = find_rows(user, self.level, search, parent)
        found = list(rows[search.offset : search.offset + search.limit + 1])
        shown = found[: search.limit]
        self._record(request, user, shown, parent)
        headers = {"Warning": MORE} if len(found) > search.limit else {}
        stated = self._stated_level(parent)
        documents = (row_attributes(self.level, row, search, lowest_stated=stated) for row in shown)
        response = documents_response(request, documents, headers)
        if not shown:
            return HttpResponse(status=status.HTTP_204_NO_CONTENT, headers=headers)
        return response

    def _find_parent(
        self, user: User, study_uid: str = "", series_uid: str = ""
    ) -> Study | Series | None:
        if series_uid:
            return find_series(user, study_uid, series_uid)
        return find_study(user, study_uid) if study_uid else None

    def _stated_level(self, parent: Study | Series | None) -> Level | None:
        if parent is None:
            return None
        return Level.STUDY if isinstance(parent, Study) else Level.SERIES

    def _record(
        self, request: Request, user: User, shown: Sequence[Any], parent: Study | Series | None
    ) -> None:
        """Note by which attributes was searched, and what for as hashes alone."""
        params = request.query_params
        used = [name for name in sorted(params) if name not in CONTROLS]
        record_list_read(
            actor=user,
            action=Action.STUDIES_SEARCHED,
            place="dicomweb",
            filters=dict.fromkeys(used, ""),
            searched=[value for name in used for value in params.getlist(name)],
            rows=shown,
            is_continued="offset" in params,
            study=parent.study if isinstance(parent, Series) else parent,
        )


class SeriesSearchView(SearchView):
    """Series, of all studies or of one."""

    level = Level.SERIES


class InstanceSearchView(SearchView):
    """Instances, of all studies, of one, or of a series."""

    level = Level.INSTANCE
