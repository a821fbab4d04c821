"""The forms of the records pages: what is declared with files, and what narrows the lists."""

import datetime as dt
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Department
from records.deidentification import Options, Rectangle
from records.intake.declared import NOT_TEXT, DeclaredFields
from records.models import (
    ConflictState,
    DicomNode,
    IdentityConflict,
    Priority,
    QuarantineState,
    Resolution,
    Sex,
    StudyState,
)
from records.models.imaging import REASON_LENGTH
from records.models.nodes import AE_TITLE_LENGTH, validate_ae_title, validate_network
from records.names import PersonName
from records.services import Standing, Whose

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
holds_text = RegexValidator(NOT_TEXT, "No backslash and no control characters.", inverse_match=True)
SINCE_DAYS = (("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"))


class SubmitForm(forms.Form):
    """Where the files go, and what they don't say themselves."""

    department = forms.ModelChoiceField(Department.objects.none(), empty_label=None)
    priority = forms.ChoiceField(choices=Priority.choices, initial=Priority.ROUTINE)
    patient_id = forms.CharField(
        label="Patient ID",
        required=False,
        max_length=64,
        help_text="Needed for PNG and JPEG files, which don't say whom they show.",
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
        **kwargs: Any,
    ) -> None:
        """Offer the departments to which the person may send, beginning with the last one used.

        With several and none used before, the person has to choose: the first by name would
        send radiographs to the wrong ward.
        """
        super().__init__(*args, **kwargs)
        offered = list(departments[:2])
        field = self.fields["department"]
        field.initial = offered[0] if len(offered) == 1 else last_used
        field.empty_label = None if field.initial else "Choose a department"  # type: ignore[attr-defined]
        field.queryset = departments  # type: ignore[attr-defined]

    def declared(self) -> DeclaredFields:
        """What was entered about the patient and the study."""
        names = DeclaredFields.__dataclass_fields__
        return DeclaredFields(
            **{name: value for name, value in self.cleaned_data.items() if name in names}
        )


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


class FilterForm(forms.Form):
    """A form whose filled fields narrow a list."""

    def used(self) -> dict[str, str]:
        """The filters in use, for the audit trail; what was searched for may be a name."""
        return {
            name: "text" if name == "q" else str(self.data.get(name, ""))
            for name, value in self.cleaned_data.items()
            if value
        }


class StudyFilterForm(FilterForm):
    """What narrows the list of studies."""

    q = forms.CharField(
        required=False,
        label="Search studies",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Name, patient ID or accession"}
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
        self.fields["department"].queryset = departments  # type: ignore[attr-defined]


class DeletedStudyFilterForm(FilterForm):
    """What narrows the list of deleted studies."""

    q = forms.CharField(
        required=False,
        label="Search deleted studies",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Name, patient ID or accession"}
        ),
    )


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


class PatientFilterForm(FilterForm):
    """What narrows the list of patients."""

    q = forms.CharField(
        required=False,
        label="Search patients",
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name or patient ID"}),
    )


class ConflictFilterForm(FilterForm):
    """What narrows the queue of conflicts."""

    state = forms.ChoiceField(
        required=False,
        choices=[("", "Open"), (ConflictState.RESOLVED, "Resolved"), ("all", "Open and resolved")],
    )


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


class KeepApartForm(ReasonForm):
    """They are two people."""

    def decision(self) -> dict[str, Any]:
        """What `resolve_conflict` takes."""
        return {"reason": self.cleaned_data["reason"]}


class MergeForm(ReasonForm):
    """They are one person; which name and which birth date are right."""

    SIDES = (("held", "As held"), ("sent", "As sent"))
    name = forms.ChoiceField(label="Right name", choices=SIDES, initial="held")
    birth_date = forms.ChoiceField(label="Right birth date", choices=SIDES, initial="held")
    field_order = ("name", "birth_date", "reason")

    def decision(self) -> dict[str, Any]:
        """What `resolve_conflict` takes."""
        given = self.cleaned_data
        standing = Standing(name=given["name"], birth_date=given["birth_date"])
        return {"reason": given["reason"], "standing": standing}


class CorrectForm(ReasonForm):
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
        return {"reason": given["reason"], "corrected": corrected}


RESOLUTION_FORMS: dict[str, type[MergeForm] | type[KeepApartForm] | type[CorrectForm]] = {
    Resolution.MERGE.value: MergeForm,
    Resolution.KEEP_APART.value: KeepApartForm,
    Resolution.CORRECT.value: CorrectForm,
}


def make_resolution_forms(
    conflict: IdentityConflict, *, data: Any = None, chosen: str = ""
) -> dict[str, forms.Form]:
    """The three decisions as forms, the one that was chosen filled with `data`."""
    initial = {
        "patient_id": conflict.sent["patient_id"],
        "issuer": conflict.sent["issuer"],
        "patient_name": conflict.sent["name"],
        "birth_date": conflict.sent_birth_date,
        "sex": conflict.sent["sex"],
    }
    made: dict[str, forms.Form] = {}
    for name, form_class in RESOLUTION_FORMS.items():
        start = initial if form_class is CorrectForm else None
        filled = data if name == chosen else None
        made[name] = form_class(filled, initial=start, auto_id=f"{name}_%s")
    return made


class NetworksField(forms.CharField):
    """IP addresses and networks, separated by commas or spaces, cleaned into a list."""

    def to_python(self, value: Any) -> Any:
        """Split them."""
        text = value if isinstance(value, str) else ", ".join(value or ())
        return list(dict.fromkeys(text.replace(",", " ").split()))

    def prepare_value(self, value: Any) -> Any:
        """Show a list as text."""
        return value if isinstance(value, str) or value is None else ", ".join(value)

    def run_validators(self, value: Any) -> None:
        """Check each of them."""
        for network in value:
            validate_network(network)


class NodeForm(forms.Form):
    """A device or archive that speaks DICOM with us."""

    ae_title = forms.CharField(
        label="AE title",
        max_length=AE_TITLE_LENGTH,
        validators=[validate_ae_title],
        help_text="As it is set in the device; upper and lower case count.",
    )
    description = forms.CharField(required=False, max_length=120)
    department = forms.ModelChoiceField(
        Department.objects.all(),
        help_text="What the node stores is filed here, and it finds this department's studies.",
    )
    addresses = NetworksField(
        label="Calls from",
        help_text="IP addresses or networks, separated by commas: 10.1.2.3, 10.1.4.0/24.",
    )
    can_store = forms.BooleanField(label="May store images (C-STORE)", required=False, initial=True)
    can_query = forms.BooleanField(label="May search for studies (C-FIND)", required=False)
    can_retrieve = forms.BooleanField(label="May retrieve images (C-MOVE, C-GET)", required=False)
    host = forms.CharField(
        label="Address as a destination",
        required=False,
        max_length=253,
        help_text="Name or IP address to which C-MOVE sends images. Empty: no destination.",
    )
    port = forms.IntegerField(
        label="Port as a destination", required=False, min_value=1, max_value=65535
    )

    @classmethod
    def initial_for(cls, node: DicomNode) -> dict[str, Any]:
        """What the form shows before anybody edits it."""
        return {name: getattr(node, name) for name in cls.base_fields}

    def clean(self) -> dict[str, Any]:
        """A destination has both an address and a port."""
        host, port = self.cleaned_data.get("host"), self.cleaned_data.get("port")
        if bool(host) != bool(port) and not {"host", "port"} & set(self.errors):
            self.add_error("port" if host else "host", "A destination needs address and port.")
        return self.cleaned_data
