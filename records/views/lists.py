"""What the lists of patients, studies and results note in the audit trail."""

from typing import ClassVar

from django import forms

from accounts.access import signed_in_user
from accounts.audit import record_access, record_event
from accounts.models import Action, User
from accounts.views.lists import FilteredListView
from records.forms import FilterForm


class RecordedListView(FilteredListView):
    """A list that shows patients' names, so that reading it is noted.

    `list_action` is what reading it is called, `place` which list it was.
    """

    list_action: ClassVar[Action]
    place: ClassVar[str]

    def after_reading(self, form: forms.Form) -> None:
        """Note the search, or the look."""
        record_list_read(
            actor=signed_in_user(self.request),
            action=self.list_action,
            place=self.place,
            filters=form.used() if isinstance(form, FilterForm) and form.is_bound else {},
            is_continued="cursor" in form.data,
        )


def record_list_read(
    *, actor: User, action: Action, place: str, filters: dict[str, str], is_continued: bool
) -> None:
    """Note that somebody searched a list, every time; reading it plainly, once in five minutes.

    Never what was typed: it may be a name. The next rows of a list belong to the first.
    """
    details = {"filters": filters}
    if filters and not is_continued:
        record_event(action=action, actor=actor, target_id=place, details=details)
    else:
        record_access(action=action, actor=actor, target_id=place, details=details)
