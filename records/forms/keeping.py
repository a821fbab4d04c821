"""Why something is held or taken away."""

from django import forms

from records.models.imaging import REASON_LENGTH


class ReasonForm(forms.Form):
    """Why something is done that others will ask about."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Without the patient's name: it stays in the audit trail.",
    )


class HoldForm(ReasonForm):
    """Which studies to hold, and why."""

    study = forms.CharField(
        label="Study Instance UID or accession number",
        max_length=64,
        help_text="An accession number holds every study that has it.",
    )
    field_order = ("study", "reason")
