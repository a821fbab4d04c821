"""The forms of the worklist and of a review."""

from typing import Any

from django import forms

from accounts.models import Department
from classifier.models import (
    CLASSIFICATION_TASKS,
    Classification,
    ClassificationState,
    Decision,
    Task,
)
from classifier.models.reviews import REASONS_TO_CHOOSE
from classifier.services.reviews import COMMENT_MAXIMUM, labels_for_review
from records.forms import FilterForm, SinceField
from records.models import Priority

WAITING = ("queued", "running", "awaiting_review", "abstained", "failed")
REVIEWED = ("confirmed", "overridden", "uninterpretable")
CURRENT_STATES = [
    (value, label)
    for value, label in ClassificationState.choices
    if value not in {ClassificationState.SUPERSEDED, ClassificationState.CANCELLED}
]


class WorklistForm(FilterForm):
    """What narrows the worklist; everything is optional."""

    q = forms.CharField(
        required=False,
        label="Search the worklist",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Name, patient ID or accession"}
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
        groups = {"": WAITING, "reviewed": REVIEWED, "all": ()}
        return groups.get(chosen, (chosen,))


class TaskForm(forms.Form):
    """What the images of a study show, where their header doesn't say."""

    task = forms.ChoiceField(label="What do the images show?")

    def __init__(self, *args: Any, tasks: list[Task], **kwargs: Any) -> None:
        """Offer what no header rules out."""
        super().__init__(*args, **kwargs)
        self.fields["task"].choices = [  # type: ignore[attr-defined]  # it has some
            ("", "Choose what you see"),
            *((task.value, task.label) for task in tasks),
        ]


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
