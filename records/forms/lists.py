"""What narrows the lists."""

import datetime as dt
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from accounts.filters import FilterForm
from accounts.models import Department
from records.choices import ConflictState, Priority, QuarantineState, StudyState
from records.forms.submissions import BODY_PARTS, MODALITIES

PATIENT_OR_STUDY = "Name, patient ID, birth date or accession"
SINCE_DAYS = (("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"))


class SinceField(forms.TypedChoiceField):
    """A number of days back, cleaned into the moment that it means (None for any time)."""

    def __init__(self, **kwargs: Any) -> None:
        """Offer the usual spans."""
        choices = [("", "Any time"), *SINCE_DAYS]
        super().__init__(
            required=False, choices=choices, coerce=days_ago, empty_value=None, **kwargs
        )


def days_ago(days: str) -> dt.datetime:
    """The moment so many days before now."""
    return timezone.now() - dt.timedelta(days=int(days))


class StudyFilterForm(FilterForm):
    """What narrows the list of studies."""

    q = forms.CharField(
        required=False,
        label="Search studies",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": PATIENT_OR_STUDY, "data-private": ""}
        ),
    )
    modality = forms.ChoiceField(required=False, choices=[("", "Any modality"), *MODALITIES])
    body_part = forms.ChoiceField(required=False, choices=[("", "Any body part"), *BODY_PARTS])
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *StudyState.choices])
    since = SinceField(label="Received")
    department = forms.ModelChoiceField(
        Department.objects.none(), required=False, empty_label="Any department"
    )
    priority = forms.ChoiceField(required=False, choices=[("", "Any priority"), *Priority.choices])

    def __init__(self, *args: Any, departments: QuerySet[Department], **kwargs: Any) -> None:
        """Offer the departments that the person may see."""
        super().__init__(*args, **kwargs)
        self.fields["department"].queryset = departments  # type: ignore[attr-defined]  # it has one

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The studies that pass."""
        return rows.filtered(self.given)  # type: ignore[attr-defined]  # a StudyQuerySet


class DeletedStudyFilterForm(FilterForm):
    """What narrows the list of deleted studies."""

    q = forms.CharField(
        required=False,
        label="Search deleted studies",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": PATIENT_OR_STUDY, "data-private": ""}
        ),
    )

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The studies that match."""
        return rows.matching(self.given.get("q") or "")  # type: ignore[attr-defined]  # a StudyQuerySet


class PatientFilterForm(FilterForm):
    """What narrows the list of patients."""

    q = forms.CharField(
        required=False,
        label="Search patients",
        max_length=100,
        widget=forms.TextInput(
            attrs={
                "type": "search",
                "placeholder": "Name, patient ID or birth date",
                "data-private": "",
            }
        ),
    )

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The patients that match."""
        return rows.matching(self.given.get("q") or "")  # type: ignore[attr-defined]  # a PatientQuerySet


class ConflictFilterForm(FilterForm):
    """What narrows the queue of conflicts."""

    state = forms.ChoiceField(
        required=False,
        choices=[("", "Open"), (ConflictState.RESOLVED, "Resolved"), ("all", "Open and resolved")],
    )

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The conflicts of that state; without one, the open ones."""
        state = self.given.get("state") or ConflictState.OPEN
        return rows if state == "all" else rows.filter(state=state)


class QuarantineFilterForm(FilterForm):
    """What narrows the list of quarantined files."""

    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "In quarantine"),
            (QuarantineState.FILED, "Filed into their study"),
            (QuarantineState.DISCARDED, "Discarded"),
            ("all", "All"),
        ],
    )

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The files of that state; without one, those still in quarantine."""
        state = self.given.get("state") or QuarantineState.HELD
        return rows if state == "all" else rows.filter(state=state)
