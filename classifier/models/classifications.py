"""One question about one study, and the network's answer."""

import datetime as dt
import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now

from accounts.models import User
from classifier.choices import (
    ACTIVE_STATES,
    ALARMING_OUTCOMES,
    CONFIRMABLE_OUTCOMES,
    ENDED_STATES,
    REVIEWABLE_STATES,
    REVIEWED_STATES,
    ROUTER_TASK,
    SUSPECTING_OUTCOMES,
    Abstention,
    ClassificationOutcome,
    ClassificationState,
    Confidence,
)
from classifier.models.versions import ModelVersion
from classifier.models.waits import WAITING_SENTENCE, WAITING_SENTENCES
from classifier.querysets import ClassificationQuerySet
from classifier.task_registry import STUDY_TASK_CHOICES
from records.choices import Priority
from records.models import Study

if TYPE_CHECKING:
    from classifier.models.scores import InstanceScore

UNROUTED = "unrouted"
"""The task of a row whose study's header doesn't name one, until the images have been looked at."""

CLASSIFICATION_TASKS = (*STUDY_TASK_CHOICES, (UNROUTED, "Body part not known"))
"""What a classification may be about."""

_TASK_WORDS = dict(CLASSIFICATION_TASKS)


def name_task(task: str) -> str:
    """A row's task in words; of a task that no bundle brings any more, the name."""
    return _TASK_WORDS.get(task, task)


ABSTENTION_SENTENCES = {
    Abstention.NO_TASK: "No model looks at studies of this modality and body part.",
    Abstention.NO_DEPLOYED_MODEL: "No model for this task is in use at present.",
    Abstention.NO_IMAGE: "The study holds no image that can be classified.",
    Abstention.ROUTE_UNSURE: (
        "The header doesn't say what the images show, and the images alone don't settle it. "
        "Say which body part this is."
    ),
}
"""What staff read when the decision not to answer is ours; the others come from `ml`."""

CHOSEN_SENTENCE = "Chosen from the image, not from the header."
"""Stands beside a result whose task no header named."""


class Classification(models.Model):
    """A network's reading of a study, from the queue to a person's decision.

    ```
    QUEUED ─claim─▶ RUNNING ─complete─▶ AWAITING_REVIEW ─review─▶ CONFIRMED
      ▲               │  ├──abstain───▶ ABSTAINED ───────review─▶ OVERRIDDEN
      └─lease expired─┘  └──fail──────▶ FAILED                    UNINTERPRETABLE
      └─postpone──────┘
    any of them but a reviewed one ─late image or run again─▶ SUPERSEDED
    RUNNING as UNROUTED ─route─▶ RUNNING as the task that the images are for
    QUEUED | RUNNING ─study deleted─▶ CANCELLED ─study restored─▶ QUEUED
    ```

    A worker holds a row by lease: `lease_expires_at` and the fencing number `fence`,
    which grows with every claim, so that a worker thought dead can't write late.
    The queue is this table: a worker takes the most urgent, longest queued row whose `due_at` has
    come. All times are the database's. What the network said is written once; a trigger refuses
    to change it afterwards.

    `waiting_code` is set while it is no fault of the study's that there is no answer: the code of
    what was in the way when a worker last tried. Such a row is QUEUED, has lost no attempt, and is
    tried again until it gets through.

    `outcome` is empty until a network or the product has answered. `label` is then the finding or
    the normal label, and empty where the outcome gives neither; `suspected_label` is what a
    flagged or indeterminate answer, or one below its operating point, is about. An answer that is
    withheld because its source isn't validated keeps its probabilities.

    `tally` tells how many of several images say what the answer says: the entries of
    `ml.series.Tally`, and `words` for staff. Empty where one image was read.

    `routing` is what the body-part model made of the images: `label`, `task`, `probability`,
    `agreement` with the header (agrees, disagrees, unsure; chosen or no_header where that names
    no task), `model_digest`, and the same for each series. Empty where no such model was in use.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="classifications")
    task = models.CharField(max_length=20, blank=True)
    state = models.CharField(
        max_length=16, choices=ClassificationState.choices, default=ClassificationState.QUEUED
    )
    priority = models.CharField(max_length=10, choices=Priority.choices, default=Priority.ROUTINE)
    requested_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="classifications", null=True
    )
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="superseded_by", null=True
    )

    attempt = models.PositiveSmallIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=120, blank=True)
    waiting_code = models.CharField(max_length=40, blank=True, default="", db_default="")

    queued_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    # What 0.3 rang by. Nothing reads it; it goes once no release in use writes it.
    rung_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="classifications", null=True
    )
    model_digest = models.CharField(max_length=64, blank=True)
    runtime = models.CharField(max_length=40, blank=True)
    input_hashes = models.JSONField(default=list)
    routing = models.JSONField(default=dict)
    outcome = models.CharField(
        max_length=24,
        choices=ClassificationOutcome.choices,
        blank=True,
        default="",
        db_default="",
    )
    label = models.CharField(max_length=40, blank=True)
    suspected_label = models.CharField(max_length=40, blank=True, default="", db_default="")
    probabilities = models.JSONField(default=dict)
    confidence = models.CharField(max_length=10, choices=Confidence.choices, blank=True)
    aggregation = models.CharField(max_length=40, blank=True)
    timings = models.JSONField(default=dict)
    notes = models.JSONField(default=list)
    tally = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))
    abstention = models.CharField(max_length=40, choices=Abstention.choices, blank=True)
    abstention_reason = models.CharField(max_length=300, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.CharField(max_length=400, blank=True)
    failure_action = models.CharField(max_length=400, blank=True)

    objects = ClassificationQuerySet.as_manager()

    class Meta:
        """At most one current classification per study and task."""

        ordering = ("-queued_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("study", "task"),
                condition=~Q(state__in=ENDED_STATES),
                name="classification_one_current",
            ),
            models.CheckConstraint(
                condition=~Q(state=ClassificationState.RUNNING) | Q(lease_expires_at__isnull=False),
                name="classification_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state=ClassificationState.AWAITING_REVIEW)
                | (
                    Q(outcome__in=(*CONFIRMABLE_OUTCOMES, *SUSPECTING_OUTCOMES))
                    & ~Q(model_digest="")
                ),
                name="classification_answer_has_outcome_and_model",
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=CONFIRMABLE_OUTCOMES, suspected_label="") & ~Q(label="")
                | Q(outcome__in=SUSPECTING_OUTCOMES, label="") & ~Q(suspected_label="")
                | Q(
                    outcome__in=("", ClassificationOutcome.ABSTAINED), label="", suspected_label=""
                ),
                name="classification_outcome_names_its_label",
            ),
            models.CheckConstraint(
                condition=~Q(state=ClassificationState.AWAITING_REVIEW)
                | ~Q(task__in=("", UNROUTED)),
                name="classification_answer_has_task",
            ),
            models.CheckConstraint(
                condition=~Q(task=ROUTER_TASK), name="classification_task_is_no_router"
            ),
            models.CheckConstraint(
                condition=~Q(state=ClassificationState.ABSTAINED)
                | (~Q(abstention="") & Q(outcome=ClassificationOutcome.ABSTAINED)),
                name="classification_abstained_says_why",
            ),
            models.CheckConstraint(
                condition=~Q(state=ClassificationState.FAILED) | ~Q(failure_code=""),
                name="classification_failed_says_why",
            ),
        )
        indexes = (
            models.Index(fields=("state", "-priority", "queued_at"), name="classification_queue"),
            models.Index(
                F("priority").desc(),
                F("queued_at").asc(),
                F("id").asc(),
                name="classification_worklist",
            ),
            models.Index(
                fields=("lease_expires_at",),
                condition=Q(state=ClassificationState.RUNNING),
                name="classification_lease",
            ),
        )

    def __str__(self) -> str:
        """Return the task and the state."""
        return f"{self.task or 'no task'} {self.id}: {self.state}"

    @property
    def task_title(self) -> str:
        """Its task in words; empty where it has none."""
        return name_task(self.task)

    @property
    def changed_at(self) -> dt.datetime:
        """When the answer, its study or its patient last changed."""
        return max(self.updated_at, self.study.changed_at)

    @property
    def is_active(self) -> bool:
        """Tell whether a worker still has to do something."""
        return self.state in ACTIVE_STATES

    @property
    def is_waiting(self) -> bool:
        """Tell whether what is in the way is the installation's fault, and will pass."""
        return self.is_active and bool(self.waiting_code)

    @property
    def waiting_sentence(self) -> str:
        """Why it waits, in words for staff; empty where it doesn't."""
        if not self.is_waiting:
            return ""
        return WAITING_SENTENCES.get(self.waiting_code, WAITING_SENTENCE)

    @property
    def is_reviewable(self) -> bool:
        """Tell whether a person may decide now."""
        return self.state in REVIEWABLE_STATES

    @property
    def is_reviewed(self) -> bool:
        """Tell whether a person has decided."""
        return self.state in REVIEWED_STATES

    @property
    def can_rerun(self) -> bool:
        """Tell whether running it again makes sense: over, not yet decided by a person."""
        over = (*REVIEWABLE_STATES, ClassificationState.FAILED)
        return self.state in over

    @property
    def is_chosen_by_image(self) -> bool:
        """Tell whether the image decided the task, because the header didn't name one."""
        return bool(self.routing.get("chosen"))

    @property
    def chosen_series(self) -> list[str]:
        """The ids of the series that the image, not the header, brought to this task."""
        if not self.is_chosen_by_image:
            return []
        series = self.routing.get("series", {})
        return [pk for pk, look in series.items() if look["task"] == self.task]

    @property
    def may_be_confirmed(self) -> bool:
        """Tell whether the answer gives a label that a person could agree with."""
        return self.outcome in CONFIRMABLE_OUTCOMES

    @property
    def named_label(self) -> str:
        """The label given, else the one suspected; empty where the answer names none."""
        return self.label or self.suspected_label

    @property
    def is_alarming(self) -> bool:
        """Tell whether a disease passed its operating point, the likeliest label or not."""
        return self.outcome in ALARMING_OUTCOMES

    @property
    def likeliest_label(self) -> str:
        """The most probable label of an answer, whatever its outcome; empty where there is none."""
        if not self.named_label or not self.probabilities:
            return ""
        scores, named = self.probabilities, self.named_label
        return max(scores, key=lambda label: (scores[label], label == named))

    @property
    def is_research(self) -> bool:
        """Tell whether a model below its release gate gave the answer."""
        return self.model_version is not None and self.model_version.is_research

    @property
    def probability(self) -> float | None:
        """The calibrated probability of the label given or suspected."""
        return self.probabilities.get(self.named_label)

    @property
    def operating_point(self) -> float | None:
        """The probability from which that label is given; None for the normal one."""
        return self.threshold_of(self.named_label)

    def threshold_of(self, label: str) -> float | None:
        """The operating point of a disease in this very answer: a series has its own."""
        point = self.model_version.threshold_of(label) if self.model_version else None
        of_series = self.tally.get("operating_points", {})
        return point if point is None else of_series.get(label, point)

    def is_above_operating_point(self, label: str) -> bool:
        """Tell whether a disease's probability reached its operating point."""
        point = self.threshold_of(label)
        return point is not None and self.probabilities.get(label, 0.0) >= point

    @property
    def deciding_score(self) -> "InstanceScore | None":
        """The score of the image that decided, which the study page opens at."""
        return self.instance_scores.filter(is_deciding=True).first()

    @property
    def label_code(self) -> dict[str, str] | None:
        """The code of the label given: value, scheme and meaning."""
        return self.model_version.code_of(self.label) if self.model_version else None

    @property
    def label_display(self) -> str:
        """The words for the label given."""
        return self.words_for(self.label)

    @property
    def suspected_label_display(self) -> str:
        """The words for the label suspected."""
        return self.words_for(self.suspected_label)

    @property
    def likeliest_label_display(self) -> str:
        """The words for the most probable label."""
        return self.words_for(self.likeliest_label)

    def words_for(self, label: str) -> str:
        """The words for one of the model's labels; nothing for none."""
        if not label:
            return ""
        if self.model_version is None:
            return label.replace("_", " ").capitalize()
        return self.model_version.display_of(label)
