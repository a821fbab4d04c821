"""The decisions on an identity conflict."""

from typing import Any

from django import forms

from records.choices import Resolution, Sex
from records.dicom.names import PersonName
from records.forms.keeping import ReasonForm
from records.forms.submissions import holds_text
from records.models import IdentityConflict
from records.services import Standing, Whose


class DecisionForm(ReasonForm):
    """One way of resolving a conflict, which needs a reason."""

    def decision(self) -> dict[str, Any]:
        """What `resolve_conflict` takes."""
        return {"reason": self.cleaned_data["reason"]}


class KeepApartForm(DecisionForm):
    """They are two people."""


class MergeForm(DecisionForm):
    """They are one person; which name and which birth date are right."""

    SIDES = (("held", "As held"), ("sent", "As sent"))
    name = forms.ChoiceField(label="Right name", choices=SIDES, initial="held")
    birth_date = forms.ChoiceField(label="Right birth date", choices=SIDES, initial="held")
    field_order = ("name", "birth_date", "reason")

    def decision(self) -> dict[str, Any]:
        """What `resolve_conflict` takes."""
        given = self.cleaned_data
        standing = Standing(name=given["name"], birth_date=given["birth_date"])
        return {**super().decision(), "standing": standing}


class CorrectForm(DecisionForm):
    """Neither: whom the images show in truth."""

    patient_id = forms.CharField(label="Patient ID", max_length=64, validators=[holds_text])
    issuer = forms.CharField(label="Issuer", max_length=64, required=False, validators=[holds_text])
    patient_name = forms.CharField(
        label="Name",
        max_length=324,
        required=False,
        help_text="Family^Given; other ways of writing after an equals sign.",
        validators=[holds_text],
        widget=forms.TextInput(attrs={"dir": "auto"}),
    )
    birth_date = forms.DateField(
        label="Birth date",
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    sex = forms.ChoiceField(
        label="Sex",
        required=False,
        choices=[("", "Not stated"), *(choice for choice in Sex.choices if choice[0])],
    )
    field_order = ("patient_id", "issuer", "patient_name", "birth_date", "sex", "reason")

    def decision(self) -> dict[str, Any]:
        """What `resolve_conflict` takes."""
        given = self.cleaned_data
        corrected = Whose(
            patient_id=given["patient_id"],
            issuer=given["issuer"],
            name=PersonName.from_text(given["patient_name"]),
            birth_date=given["birth_date"],
            sex=given["sex"],
        )
        return {**super().decision(), "corrected": corrected}


RESOLUTION_FORMS: dict[str, type[DecisionForm]] = {
    Resolution.MERGE.value: MergeForm,
    Resolution.KEEP_APART.value: KeepApartForm,
    Resolution.CORRECT.value: CorrectForm,
}


def make_resolution_forms(
    conflict: IdentityConflict, *, data: Any = None, chosen: str = ""
) -> dict[str, DecisionForm]:
    """The three decisions as forms, the one that was chosen filled with `data`."""
    initial = {
        "patient_id": conflict.sent["patient_id"],
        "issuer": conflict.sent["issuer"],
        "patient_name": conflict.sent["name"],
        "birth_date": conflict.sent_birth_date,
        "sex": conflict.sent["sex"],
    }
    made: dict[str, DecisionForm] = {}
    for name, form_class in RESOLUTION_FORMS.items():
        start = initial if form_class is CorrectForm else None
        filled = data if name == chosen else None
        made[name] = form_class(filled, initial=start, auto_id=f"{name}_%s")
    return made
