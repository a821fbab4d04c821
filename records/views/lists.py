"""What the lists of patients, studies and results note in the audit trail."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django import forms

from accounts.access import signed_in_user
from accounts.actions import AuditAction
from accounts.audit import record_event
from accounts.models import User
from accounts.texts import search_terms
from accounts.views.lists import FilteredListView
from records.forms import FilterForm
from records.models import Patient, Study


class RecordedListView(FilteredListView):
    """A list that shows patients' names, so that reading it is noted.

    `list_action` is what reading it is called, `place` which list it was.
    """

    list_action: ClassVar[AuditAction]
    place: ClassVar[str]

    def after_reading(self, form: forms.Form, rows: Sequence[Any]) -> None:
        """Note the search, or the look."""
        record_list_read(
            actor=signed_in_user(self.request),
            action=self.list_action,
            place=self.place,
            filters=form.used() if isinstance(form, FilterForm) and form.is_bound else {},
            searched=[str(form.data.get(name, "")) for name in form.fields],
            rows=rows,
            is_continued=bool(form.data.get("cursor")),
        )


def record_list_read(
    *,
    actor: User | None,
    action: AuditAction,
    place: str,
    rows: Sequence[Any],
    filters: dict[str, str] | None = None,
    searched: Iterable[str] = (),
    is_continued: bool = False,
    study: Study | None = None,
) -> None:
    """Note that somebody read a list or a part of it: each time, how many rows it showed.

    Never what was typed, which may be a name: of `searched` the trail keeps hashes. A list that
    is about one study or one patient names it.
    """
    of_study = study or _only_study(rows)
    record_event(
        action=action,
        actor=actor,
        target_id=place,
        study=of_study,
        patient_id=None if of_study else _only_patient(rows),
        details={"filters": filters or {}, "count": len(rows), "continued": is_continued},
        searched=search_terms(searched),
    )


def _only_study(rows: Sequence[Any]) -> Study | None:
    ids = {_study_id(row) for row in rows}
    if len(ids) != 1 or ids == {None}:
        return None
    row = rows[0]
    found: Study = row if isinstance(row, Study) else getattr(row, "series", row).study
    return found


def _study_id(row: Any) -> Any:
    if isinstance(row, Study):
        return row.pk
    return getattr(getattr(row, "series", row), "study_id", None)


def _only_patient(rows: Sequence[Any]) -> Any:
    ids = {row.pk if isinstance(row, Patient) else getattr(row, "patient_id", None) for row in rows}
    return ids.pop() if len(ids) == 1 else None
