"""The forms of the worklist and of a review."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from accounts.filters import FilterForm
from accounts.models import Department
from classifier.choices import (
    ENDED_STATES,
    OPEN_STATES,
    REVIEWED_STATES,
    ClassificationState,
    Decision,
    OverrideReason,
    SourceKind,
)
from classifier.models import CLASSIFICATION_TASKS, Classification
from classifier.models.reviews import COMMENT_MAXIMUM, REASONS_TO_CHOOSE
from classifier.models.sources import FIGURES_LENGTH, SOURCE_LENGTH
from classifier.services.reviews import labels_for_review
from classifier.task_registry import TASK_TITLES
from records.choices import Priority
from records.forms import PATIENT_OR_STUDY, ReasonForm, SinceField

LATEST_DECISION = "The latest decision first"
LONGEST_WAITING = "Urgent first, then the longest waiting"
CURRENT_STATES = [
    (value, label) for value, label in ClassificationState.choices if value not in ENDED_STATES
]


class WorklistForm(FilterForm):
    """What narrows the worklist; everything is optional."""

    q = forms.CharField(
        required=False,
        label="Search the worklist",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": PATIENT_OR_STUDY, "data-private": ""}
        ),
    )
    state = forms.ChoiceField(
        required=False,
        label="State",
        choices=[
            ("", "Waiting for somebody"),
            ("reviewed", "Reviewed"),
            ("all", "Any state"),
            *CURRENT_STATES,
        ],
    )
    task = forms.ChoiceField(
        required=False,
        label="Task",
        choices=[("", "Any task"), *CLASSIFICATION_TASKS],
    )
    priority = forms.ChoiceField(
        required=False, label="Priority", choices=[("", "Any priority"), *Priority.choices]
    )
    department = forms.ModelChoiceField(
        Department.objects.none(), required=False, label="Department", empty_label="Any department"
    )
    since = SinceField(label="Received")

    def __init__(self, *args: Any, departments: Any, **kwargs: Any) -> None:
        """Offer only the departments that the person may see."""
        super().__init__(*args, **kwargs)
        self.fields["department"].queryset = departments  # type: ignore[attr-defined]  # it has some

    def clean_state(self) -> tuple[str, ...]:
        """Turn the choice into the states that it stands for; empty means any."""
        chosen = self.cleaned_data["state"]
        groups = {"": OPEN_STATES, "reviewed": REVIEWED_STATES, "all": ()}
        return groups.get(chosen, (chosen,))

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that pass; without a word on the state, what waits for somebody."""
        return rows.filtered({"state": OPEN_STATES, **self.given})  # type: ignore[attr-defined]  # a ClassificationQuerySet

    @property
    def chosen_state(self) -> str:
        """The tab that is open, by the value that its address has."""
        return str(self["state"].value() or "")

    @property
    def is_of_reviewed(self) -> bool:
        """Tell whether only what a person has decided is listed."""
        return self.chosen_state in {"reviewed", *REVIEWED_STATES}

    @property
    def expected_state(self) -> str:
        """What most rows of the tab are: only another state has to be pointed out in a row."""
        expected = {
            "": ClassificationState.AWAITING_REVIEW,
            "reviewed": ClassificationState.CONFIRMED,
            "all": "",
        }
        return expected.get(self.chosen_state, self.chosen_state)

    @property
    def order_words(self) -> str:
        """In which order the tab stands, in words."""
        return LATEST_DECISION if self.is_of_reviewed else LONGEST_WAITING


class TaskForm(forms.Form):
    """What the images of a study show, where their header doesn't say."""

    task = forms.ChoiceField(label="What do the images show?")

    def __init__(self, *args: Any, tasks: list[str], **kwargs: Any) -> None:
        """Offer what no header rules out."""
        super().__init__(*args, **kwargs)
        self.fields["task"].choices = [  # type: ignore[attr-defined]  # it has some
            ("", "Choose what you see"),
            *((task, TASK_TITLES[task]) for task in tasks),
        ]


REASONS_NOT_TO_ASSESS = (
    OverrideReason.IMAGE_QUALITY,
    OverrideReason.WRONG_STUDY,
    OverrideReason.CLINICAL_CONTEXT,
    OverrideReason.OTHER,
)
"""Those that speak of the images; the others speak of an answer that a person disagrees with."""


class ReasonSelect(forms.Select):
    """Names with each reason the decisions that it may stand for: the page offers those alone."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Write them beside the value."""
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if value:
            decisions = [Decision.OVERRIDE.value]
            if value in REASONS_NOT_TO_ASSESS:
                decisions.append(Decision.UNINTERPRETABLE.value)
            option["attrs"]["data-for"] = " ".join(decisions)
        return option


class ReviewForm(forms.Form):
    """A decision; the service checks what fits together."""

    decision = forms.ChoiceField(
        choices=Decision.choices, label="Decision", widget=forms.RadioSelect
    )
    label = forms.ChoiceField(required=False, label="Your finding")
    reason = forms.ChoiceField(
        required=False,
        label="Reason",
        choices=[("", "Choose a reason"), *REASONS_TO_CHOOSE],
        widget=ReasonSelect,
    )
    comment = forms.CharField(
        required=False,
        label="Comment",
        max_length=COMMENT_MAXIMUM,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, classification: Classification, **kwargs: Any) -> None:
        """Offer the labels of the classification's own task, under ids of its own: a study
        page may hold several of these forms.
        """
        kwargs.setdefault("auto_id", f"id_{classification.pk}_%s")
        super().__init__(*args, **kwargs)
        self.fields["label"].choices = [  # type: ignore[attr-defined]  # it has some
            ("", "Choose your finding"),
            *labels_for_review(classification),
        ]

    def words_of(self, answers: dict[str, str]) -> dict[str, str]:
        """What was entered in the words of the form; the comment as it was typed."""
        words = {"comment": answers.get("comment", "")}
        for name in ("decision", "label", "reason"):
            choices = dict(self.fields[name].choices)  # type: ignore[attr-defined]  # it has some
            value = answers.get(name, "")
            words[name] = str(choices.get(value, value)) if value else ""
        return words


class DraftForm(ReviewForm):
    """What is entered of a decision so far: nothing of it is required yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Let the decision be open, and keep what was typed to the letter."""
        super().__init__(*args, **kwargs)
        self.fields["decision"].required = False
        self.fields["comment"].strip = False  # type: ignore[attr-defined]  # a text field's


class SourceValidationForm(ReasonForm):
    """On which source of images a version was validated, what came out, and why it is stated."""

    kind = forms.ChoiceField(
        choices=SourceKind.choices,
        label="The source is known by",
        help_text="The product knows the department, and the AE title of a registered DICOM node. "
        "Institution and station are what the files say of themselves.",
    )
    department = forms.ModelChoiceField(
        Department.objects.none(), required=False, empty_label="Choose a department"
    )
    value = forms.CharField(
        required=False,
        label="Name or AE title",
        max_length=SOURCE_LENGTH,
        help_text="As the images carry it; for anything but a department.",
    )
    figures = forms.CharField(
        label="Figures, or where they are written",
        max_length=FIGURES_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="How many patients, and sensitivity and specificity with their intervals.",
    )
    field_order = ("kind", "department", "value", "figures", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer every department: an administrator answers for the whole hospital."""
        super().__init__(*args, **kwargs)
        departments = self.fields["department"]
        departments.queryset = Department.objects.order_by("name")  # type: ignore[attr-defined]  # it has some
