"""What is declared with files as they are sent, and the words offered for it."""

from typing import Any, cast

from django import forms
from django.core.validators import RegexValidator
from django.db.models import QuerySet

from accounts.models import Department
from records.choices import Priority, Sex
from records.dicom.reading.declared import NOT_TEXT, DeclaredFields

MODALITIES = (
    ("CR", "X-ray, computed (CR)"),
    ("DX", "X-ray, digital (DX)"),
    ("CT", "Computed tomography (CT)"),
    ("MR", "Magnetic resonance (MR)"),
    ("US", "Ultrasound (US)"),
    ("XC", "Photograph (XC)"),
    ("DMS", "Dermoscopic photograph (DMS)"),
    ("OP", "Eye photograph (OP)"),
    ("OT", "Other (OT)"),
)


BODY_PARTS = (
    ("CHEST", "Chest"),
    ("HEAD", "Head"),
    ("BRAIN", "Brain"),
    ("SKIN", "Skin"),
    ("EYE", "Eye"),
    ("RETINA", "Retina"),
    ("BREAST", "Breast"),
    ("ABDOMEN", "Abdomen"),
    ("HAND", "Hand"),
)


VIEW_POSITIONS = (
    ("PA", "From behind (PA)"),
    ("AP", "From the front (AP)"),
    ("LL", "Lateral (LL)"),
)


ASKED_FIRST = ("patient_id", "patient_name", "birth_date", "sex", "modality", "body_part")

holds_text = RegexValidator(NOT_TEXT, "No backslash and no control characters.", inverse_match=True)


class SubmitForm(forms.Form):
    """Where the files go, and what they don't say themselves.

    The department may be left to the rules where there are some (`has_rules`).
    """

    department = forms.ModelChoiceField(Department.objects.none(), empty_label=None)
    priority = forms.ChoiceField(choices=Priority.choices, initial=Priority.ROUTINE)
    patient_id = forms.CharField(
        label="Patient ID",
        required=False,
        max_length=64,
        help_text="Needed for PNG, JPEG, WebP and TIFF files, which don't say whom they show.",
    )
    patient_name = forms.CharField(
        label="Patient name", required=False, max_length=324, help_text="Family, given"
    )
    birth_date = forms.DateField(
        label="Birth date", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    sex = forms.ChoiceField(
        label="Sex",
        required=False,
        choices=[("", "Not stated"), *(choice for choice in Sex.choices if choice[0])],
    )
    issuer = forms.CharField(
        label="Issuer of the patient ID",
        required=False,
        max_length=64,
        help_text="Only where several hospitals' IDs are in use. Empty: the department's own.",
    )
    modality = forms.ChoiceField(required=False, choices=[("", "Not stated"), *MODALITIES])
    body_part = forms.ChoiceField(
        label="Body part",
        required=False,
        choices=[("", "Not stated"), *BODY_PARTS],
        help_text="A mole: DMS or XC, and Skin. The back of the eye: OP, and Eye.",
    )
    view_position = forms.ChoiceField(
        label="View", required=False, choices=[("", "Not stated"), *VIEW_POSITIONS]
    )
    study_description = forms.CharField(label="Description", required=False, max_length=64)
    study_date = forms.DateField(
        label="Study date", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    accession_number = forms.CharField(label="Accession number", required=False, max_length=16)

    def __init__(
        self,
        *args: Any,
        departments: QuerySet[Department],
        last_used: Department | None = None,
        has_rules: bool = False,
        **kwargs: Any,
    ) -> None:
        """Offer the departments to which the person may send, beginning with the last one used.

        With several and none used before, the person has to choose or leave it to the rules: the
        first by name would send radiographs to the wrong ward.
        """
        super().__init__(*args, **kwargs)
        offered = list(departments[:2])
        field = cast(forms.ModelChoiceField, self.fields["department"])
        field.required = not (has_rules and len(offered) > 1)
        field.initial = offered[0] if len(offered) == 1 else last_used
        if not field.required:
            field.initial = None  # the last one used would keep the rules from being asked
            field.empty_label = "By the images (department rules)"
        else:
            field.empty_label = None if field.initial else "Choose a department"
        field.queryset = departments

    @property
    def fields_asked_first(self) -> list[forms.BoundField]:
        """What a picture needs to be filed and classified."""
        return [self[name] for name in ASKED_FIRST]

    @property
    def fields_asked_last(self) -> list[forms.BoundField]:
        """What else may be said of it."""
        apart = {"department", "priority", *ASKED_FIRST}
        return [field for field in self.visible_fields() if field.name not in apart]

    def declared(self) -> DeclaredFields:
        """What was entered about the patient and the study."""
        names = DeclaredFields.__dataclass_fields__
        return DeclaredFields(
            **{name: value for name, value in self.cleaned_data.items() if name in names}
        )
