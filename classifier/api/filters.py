"""The parameters that narrow the API's list of classifications."""

from typing import Any, ClassVar

from django import forms

from accounts.api.changes import ChangeFilters, order_field
from accounts.filters import FlagField
from classifier.choices import ClassificationState
from classifier.models import CLASSIFICATION_TASKS


class ClassificationFilters(ChangeFilters):
    """What classifications can be narrowed by: without `all` or a status, to the current ones."""

    lookups: ClassVar[dict[str, str]] = {"study": "study", "status": "state", "task": "task"}

    study = forms.UUIDField(required=False, help_text="Of this study only.")
    status = forms.ChoiceField(choices=ClassificationState.choices, required=False)
    task = forms.ChoiceField(choices=CLASSIFICATION_TASKS, required=False)
    ordering = order_field("queued_at")
    all = FlagField(help_text="With those that were superseded or cancelled as well.")

    def narrow(self, rows: Any) -> Any:
        """The classifications that pass."""
        wants_all = self.cleaned_data["all"] or self.cleaned_data["status"]
        return super().narrow(rows if wants_all else rows.current())
