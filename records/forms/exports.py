"""What is chosen for a de-identified copy."""

from typing import ClassVar

from django import forms

from accounts.filters import FilterForm
from records.choices import ExportState
from records.dicom.deidentification import Options, Rectangle


class ExportFilterForm(FilterForm):
    """What narrows the list of copies."""

    lookups: ClassVar[dict[str, str]] = {"q": "project__icontains", "state": "state"}

    q = forms.CharField(
        required=False,
        label="Search copies",
        max_length=64,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Project"}),
    )
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *ExportState.choices])


class ExportForm(forms.Form):
    """What a de-identified copy is for, and what it may keep."""

    project = forms.CharField(
        max_length=64, help_text="Exports of one project carry the same pseudonyms."
    )
    purpose = forms.CharField(
        max_length=200, help_text="Kept in the audit trail. Name no patient here."
    )
    retain_dates = forms.BooleanField(
        label="Keep intervals: move all dates of a patient by the same number of days",
        required=False,
    )
    retain_patient = forms.BooleanField(
        label="Keep sex, age (90 and above as 90), size and weight", required=False
    )
    retain_device = forms.BooleanField(
        label="Keep what identifies the device, its texts as they are", required=False
    )

    def options(self) -> Options:
        """The options of the profile."""
        names = ("retain_dates", "retain_device", "retain_patient")
        return Options(**{name: self.cleaned_data[name] for name in names})


class ClearanceForm(forms.Form):
    """What a person saw in one image that was held back."""

    regions = forms.CharField(
        label="Blacken",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "x y width height"}),
        help_text="One rectangle a line, in pixels from the upper left corner.",
    )

    def clean_regions(self) -> list[Rectangle]:
        """Turn lines of four numbers into rectangles."""
        lines = [line for line in self.cleaned_data["regions"].splitlines() if line.strip()]
        try:
            return [Rectangle(*_four_numbers(line)) for line in lines]
        except ValueError as error:
            message = "Write x, y, width and height as whole numbers."
            raise forms.ValidationError(message) from error


def _four_numbers(line: str) -> tuple[int, int, int, int]:
    x, y, width, height = (int(word) for word in line.replace(",", " ").split())
    return x, y, width, height
