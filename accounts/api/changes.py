"""Lists that tell what is new: `updated_since`, and the order that a caller asks for."""

import datetime as dt
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from accounts.filters import FilterForm

CHANGED = "last_change_at"
"""What `with_changes` of a queryset adds."""


class MomentField(forms.Field):
    """A moment in ISO 8601 that says which clock it is of, as answers write theirs."""

    def to_python(self, value: Any) -> dt.datetime | None:
        """Read it; raises ValidationError."""
        if value in self.empty_values:
            return None
        try:
            moment = parse_datetime(str(value))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            words = "Write it as 2026-03-01T09:30:00Z, with the offset from UTC."
            raise forms.ValidationError(words, code="invalid")
        return moment


class ChangeFilters(FilterForm):
    """What is new since a moment; a subclass has `ordering`, made by `order_field`.

    By either, what isn't settled yet waits for a later answer (`accounts.settled`).
    """

    updated_since = MomentField(
        required=False, help_text="Changed at this moment or later, such as the last `updated_at`."
    )

    @property
    def key(self) -> tuple[str, ...] | None:
        """The fields that the list is in order of, if one was asked for."""
        chosen = self.cleaned_data.get("ordering")
        if not chosen:
            return None
        sign = "-" if chosen.startswith("-") else ""
        name = CHANGED if chosen.removeprefix("-") == "updated_at" else chosen.removeprefix("-")
        return (f"{sign}{name}", f"{sign}id")

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that pass."""
        rows = super().narrow(rows)
        since, key = self.cleaned_data["updated_since"], self.key
        if since or (key and CHANGED in key[0]):
            rows = rows.with_changes()  # type: ignore[attr-defined]  # of such lists' querysets
        return rows.filter(**{f"{CHANGED}__gte": since}) if since else rows


def order_field(*columns: str) -> forms.ChoiceField:
    """The field `ordering` of a list that can be ordered by these columns and by change."""
    names = [f"{sign}{name}" for name in (*columns, "updated_at") for sign in ("-", "")]
    return forms.ChoiceField(
        choices=[(name, name) for name in names],
        required=False,
        help_text="With `-` downwards. Rows that are alike in that follow by id.",
    )
