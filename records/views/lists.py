"""What the lists of patients, studies and results note in the audit trail."""

from collections.abc import Sequence
from typing import Any, ClassVar

from accounts.access import signed_in_user
from accounts.actions import AuditAction
from accounts.filters import FilterForm
from accounts.views.lists import FilteredListView
from records.accesses import record_list_read


class RecordedListView(FilteredListView):
    """A list that shows patients' names, so that reading it is noted.

    `list_action` is what reading it is called, `place` which list it was.
    """

    list_action: ClassVar[AuditAction]
    place: ClassVar[str]

    def after_reading(self, form: FilterForm, rows: Sequence[Any]) -> None:
        """Note the search, or the look."""
        record_list_read(
            actor=signed_in_user(self.request),
            action=self.list_action,
            place=self.place,
            filters=form.used(),
            searched=[str(form.data.get(name, "")) for name in form.fields],
            rows=rows,
            is_continued=bool(form.data.get("cursor")),
        )
