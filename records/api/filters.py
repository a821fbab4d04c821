"""The parameters that narrow the API's lists. No patient's data: addresses end up in logs."""

from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from rest_framework.request import Request

from accounts.api.changes import ChangeFilters, order_field
from accounts.api.filtering import NOT_FOUND, refusal_of
from accounts.filters import DayField, FilterForm, UpperField
from accounts.models import Department, User
from accounts.roles import Verb
from records.choices import (
    ConflictState,
    Priority,
    QuarantineReason,
    QuarantineState,
    StudyState,
    SubmissionState,
)
from records.models import Study


class StudyFilters(ChangeFilters):
    """What studies can be narrowed by."""

    modality = UpperField(required=False, max_length=16)
    body_part = forms.CharField(required=False, max_length=64)
    state = forms.ChoiceField(choices=StudyState.choices, required=False)
    priority = forms.ChoiceField(choices=Priority.choices, required=False)
    department = forms.CharField(
        required=False, max_length=120, help_text="The slug of one of your departments."
    )
    since = DayField(help_text="Received from this day on.")
    until = DayField(is_end=True, help_text="Received up to and with this day.")
    patient = forms.UUIDField(required=False, help_text="A patient record's id.")
    study_instance_uid = forms.RegexField(r"^[0-9.]{1,64}$", required=False, max_length=64)

    ordering = order_field("received_at")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Take who asks: departments are looked for among theirs."""
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_department(self) -> Department | None:
        """One in which the person may look at studies."""
        slug = self.cleaned_data["department"]
        if not slug:
            return None
        found = self.user.departments_for(Verb.STUDY_VIEW).filter(slug=slug).first()
        if found is None:
            raise forms.ValidationError("You can see no such department.", code=NOT_FOUND)
        department: Department = found
        return department

    def narrow(self, rows: QuerySet[Study]) -> QuerySet[Study]:
        """The studies that pass."""
        return super().narrow(rows.filtered(self.given))  # type: ignore[attr-defined]  # a StudyQuerySet


class SubmissionFilters(ChangeFilters):
    """What submissions can be narrowed by."""

    lookups: ClassVar[dict[str, str]] = {"state": "state"}

    state = forms.ChoiceField(choices=SubmissionState.choices, required=False)
    ordering = order_field("created_at")


class InstanceFilters(FilterForm):
    """What instances can be narrowed by."""

    lookups: ClassVar[dict[str, str]] = {"study": "series__study", "series": "series"}

    study = forms.UUIDField(required=False, help_text="A study's id.")
    series = forms.UUIDField(required=False, help_text="A series' id.")


class ConflictFilters(FilterForm):
    """What conflicts can be narrowed by."""

    lookups: ClassVar[dict[str, str]] = {"state": "state"}

    state = forms.ChoiceField(choices=ConflictState.choices, required=False)


class QuarantineFilters(FilterForm):
    """What quarantined files can be narrowed by."""

    lookups: ClassVar[dict[str, str]] = {"state": "state", "reason": "reason"}

    state = forms.ChoiceField(choices=QuarantineState.choices, required=False)
    reason = forms.ChoiceField(choices=QuarantineReason.choices, required=False)


class HoldFrameForm(forms.Form):
    """Which frame of an image to draw."""

    frame = forms.IntegerField(
        required=False, min_value=1, help_text="Counted from 1, the default."
    )

    def clean_frame(self) -> int:
        """The first one, unless another is named."""
        return int(self.cleaned_data["frame"] or 1)


class FrameForm(HoldFrameForm):
    """Which frame to draw, and with which window."""

    center = forms.FloatField(required=False, help_text="The window's centre, with its width.")
    width = forms.FloatField(required=False, help_text="The window's width, with its centre.")


def read_parameters(request: Request, form_class: type[forms.Form]) -> dict[str, Any]:
    """Return a single answer's parameters, checked; raises ValidationError naming a bad one."""
    form = form_class(request.query_params)
    if not form.is_valid():
        raise refusal_of(form)
    return dict(form.cleaned_data)
