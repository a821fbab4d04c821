"""What narrows a list, on its page and in the API: one kind of form for both."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.utils import timezone


class FilterForm(forms.Form):
    """A form whose filled fields narrow a list.

    `lookups` names for each field the column that it is compared with, where that is all; others
    override `narrow`. A word outside a field's choices is refused, never ignored.
    """

    lookups: ClassVar[dict[str, str]] = {}

    @property
    def given(self) -> dict[str, Any]:
        """What a valid form says, field by field; nothing of a form that wasn't sent."""
        return self.cleaned_data if self.is_bound else {}

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that pass every filled field."""
        wanted = {path: self.given.get(name) for name, path in self.lookups.items()}
        return rows.filter(**{path: value for path, value in wanted.items() if value})

    def used(self) -> dict[str, str]:
        """The filters in use, for the audit trail; what was searched for may be a name."""
        return {
            name: "text" if name == "q" else str(self.data.get(name, ""))
            for name, value in self.given.items()
            if value
        }


class FlagField(forms.TypedChoiceField):
    """Yes or no, as an address says it."""

    def __init__(self, **kwargs: Any) -> None:
        """Take true and false, and the numbers that stand for them."""
        choices = [(word, word) for word in ("true", "false", "1", "0")]
        super().__init__(required=False, choices=choices, coerce=is_yes, empty_value=None, **kwargs)


class UpperField(forms.CharField):
    """One of DICOM's code strings, in whichever case it was typed."""

    def to_python(self, value: Any) -> str:
        """Write it as DICOM does."""
        return str(super().to_python(value)).upper()


class DayField(forms.DateField):
    """A day in ISO 8601, cleaned into its first moment, or the next day's for `is_end`."""

    def __init__(self, *, is_end: bool = False, **kwargs: Any) -> None:
        """Take one way of writing dates."""
        super().__init__(required=False, input_formats=["%Y-%m-%d"], **kwargs)
        self.is_end = is_end

    def clean(self, value: Any) -> dt.datetime | None:
        """Return the moment; raises ValidationError, also for days beyond the calendar."""
        day = super().clean(value)
        if day is None:
            return None
        try:
            first = day + dt.timedelta(days=1 if self.is_end else 0)
            return timezone.make_aware(dt.datetime.combine(first, dt.time.min))
        except OverflowError as error:
            raise forms.ValidationError("There is no such day.", code="invalid") from error


def is_yes(word: str) -> bool:
    """What a flag's word means."""
    return word in {"true", "1"}
