"""The forms of the records pages, by subject."""

from records.forms.department_rules import DepartmentRuleForm, MoveByUidForm, MoveForm
from records.forms.exports import ClearanceForm, ExportFilterForm, ExportForm
from records.forms.identity import (
    RESOLUTION_FORMS,
    CorrectForm,
    KeepApartForm,
    MergeForm,
    make_resolution_forms,
)
from records.forms.keeping import HoldForm, ReasonForm
from records.forms.lists import (
    PATIENT_OR_STUDY,
    SINCE_DAYS,
    ConflictFilterForm,
    DeletedStudyFilterForm,
    PatientFilterForm,
    QuarantineFilterForm,
    SinceField,
    StudyFilterForm,
    days_ago,
)
from records.forms.nodes import NetworksField, NodeForm
from records.forms.submissions import BODY_PARTS, MODALITIES, VIEW_POSITIONS, SubmitForm, holds_text

__all__ = [
    "BODY_PARTS",
    "ClearanceForm",
    "ConflictFilterForm",
    "CorrectForm",
    "DeletedStudyFilterForm",
    "DepartmentRuleForm",
    "ExportFilterForm",
    "ExportForm",
    "HoldForm",
    "KeepApartForm",
    "MODALITIES",
    "MergeForm",
    "MoveByUidForm",
    "MoveForm",
    "NetworksField",
    "NodeForm",
    "PATIENT_OR_STUDY",
    "PatientFilterForm",
    "QuarantineFilterForm",
    "RESOLUTION_FORMS",
    "ReasonForm",
    "SINCE_DAYS",
    "SinceField",
    "StudyFilterForm",
    "SubmitForm",
    "VIEW_POSITIONS",
    "days_ago",
    "holds_text",
    "make_resolution_forms",
]
