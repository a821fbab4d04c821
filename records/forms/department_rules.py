"""The departments' rules, and where a study is moved to."""

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django import forms
from django.db.models import QuerySet

from accounts.models import Department
from records.forms.keeping import ReasonForm
from records.models import DepartmentRule
from records.models.nodes import AE_TITLE_LENGTH, validate_ae_title

CODE = r"[A-Za-z0-9_ ]{0,16}"


class DepartmentRuleForm(forms.Form):
    """Which images go to which department where their sender names none."""

    department = forms.ModelChoiceField(
        Department.objects.all(), help_text="Only senders who belong to it are asked about."
    )
    modality = forms.RegexField(
        CODE, required=False, help_text="As DICOM writes it: CT, DX, OP. Empty: any."
    )
    body_part = forms.RegexField(
        CODE,
        label="Body part",
        required=False,
        help_text="Body Part Examined as DICOM writes it: CHEST, SKIN. Empty: any.",
    )
    ae_title = forms.CharField(
        label="AE title",
        required=False,
        max_length=AE_TITLE_LENGTH,
        validators=[validate_ae_title],
        help_text="Source Application Entity Title of the file; upper and lower case count. "
        "Empty: any.",
    )
    position = forms.IntegerField(
        min_value=0,
        max_value=32767,
        initial=100,
        help_text="The lowest that fits counts. Where two of one position disagree, the sender is "
        "asked.",
    )

    @classmethod
    def initial_for(cls, rule: DepartmentRule) -> dict[str, Any]:
        """What the form shows before anybody edits it."""
        return {name: getattr(rule, name) for name in cls.base_fields}


class MoveForm(ReasonForm):
    """Where a study goes, and why."""

    department = forms.ModelChoiceField(
        Department.objects.none(), label="To", empty_label="Choose a department"
    )
    field_order: tuple[str, ...] = ("department", "reason")

    def __init__(self, *args: Any, department_ids: Iterable[UUID], **kwargs: Any) -> None:
        """Offer the departments to which the person may move it."""
        super().__init__(*args, **kwargs)
        self.offered(Department.objects.filter(pk__in=department_ids))

    def offered(self, departments: QuerySet[Department]) -> None:
        """Have these be chosen from."""
        cast(forms.ModelChoiceField, self.fields["department"]).queryset = departments


class MoveByUidForm(MoveForm):
    """The same, of a study that the person needn't see."""

    study_instance_uid = forms.CharField(label="Study Instance UID", max_length=64)
    origin = forms.ModelChoiceField(
        Department.objects.none(),
        label="From",
        required=False,
        empty_label="The only one that holds it",
        help_text="Needed where several departments hold a study of this UID.",
    )
    field_order = ("study_instance_uid", "origin", "department", "reason")

    def offered(self, departments: QuerySet[Department]) -> None:
        """Have these be chosen from, both ways."""
        super().offered(departments)
        cast(forms.ModelChoiceField, self.fields["origin"]).queryset = departments
