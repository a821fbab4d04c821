"""The shapes of classifications, reviews and model versions in the API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.strict import StrictSerializer
from classifier.choices import ClassificationOutcome, ClassificationState, Decision, Stage
from classifier.headlines import conclusion_of, headline_of
from classifier.models import CLASSIFICATION_TASKS, Classification, InstanceScore, Review
from classifier.models.reviews import REASONS_TO_CHOOSE
from classifier.task_registry import STUDY_TASK_CHOICES

DECISION_SUPPORT = "Decision support. A person decides."
STAGE_HELP = (
    "`research`: below its release gate or signed by nobody whom the site trusts, not for use in "
    "a decision. Null without a model."
)


OUTCOME_HELP = (
    "`finding`: a disease is at or above its operating point, outside its indeterminate band, and "
    "the most probable label. `flagged`: a disease passed likewise and another label is more "
    "probable: it can't be ruled out. "
    "`no_finding`: the normal label leads and no disease passed. `below_operating_point`: a "
    "disease leads and none passed. `indeterminate`: a disease lies at its operating point, too "
    "close to call. `abstained`: no answer, see `abstention`. Null until it has ended."
)


class ReviewSerializer(serializers.ModelSerializer):
    """One immutable decision."""

    reviewer = serializers.CharField(source="reviewer.username")
    responsible = serializers.CharField(
        source="responsible.username",
        read_only=True,
        allow_null=True,
        default=None,
        help_text="The administrator through whose set-password link the review was signed.",
    )
    stage = serializers.ChoiceField(
        choices=Stage.choices,
        source="classification.model_version.stage",
        read_only=True,
        allow_null=True,
        help_text=STAGE_HELP,
    )

    class Meta:
        """Everything, read-only."""

        model = Review
        fields = (
            "id",
            "classification",
            "stage",
            "reviewer",
            "responsible",
            "decision",
            "label",
            "reason",
            "comment",
            "created_at",
        )
        read_only_fields = fields


@extend_schema_serializer(component_name="NewReview")
class ReviewRequestSerializer(StrictSerializer):
    """What a reviewer decides."""

    decision = serializers.ChoiceField(choices=Decision.choices)
    label = serializers.CharField(  # type: ignore[assignment]  # a field, not this one's caption
        required=False,
        default="",
        max_length=40,
        help_text="Your own finding; required with `override`.",
    )
    reason = serializers.ChoiceField(
        choices=REASONS_TO_CHOOSE,
        required=False,
        default="",
        help_text="Required with `uninterpretable`, and with `override` of a label that the model "
        "gave.",
    )
    comment = serializers.CharField(required=False, default="", max_length=2000)


class TaskStatementSerializer(StrictSerializer):
    """What the images of a study show, where their header doesn't say."""

    task = serializers.ChoiceField(choices=STUDY_TASK_CHOICES)


class InstanceScoreSerializer(serializers.ModelSerializer):
    """What the network said of one frame (counted from 1)."""

    class Meta:
        """By instance and frame."""

        model = InstanceScore
        fields = ("instance", "frame", "probabilities", "is_deciding")
        read_only_fields = fields

    probabilities = serializers.DictField(child=serializers.FloatField(), read_only=True)


AGREEMENTS = ("agrees", "disagrees", "unsure", "chosen", "no_header")


class SeriesRoutingSerializer(serializers.Serializer):
    """What one series, or all together, looks like to the body-part model."""

    label = serializers.CharField(help_text="A label of the body-part model.")  # type: ignore[assignment]  # a field
    task = serializers.CharField(allow_null=True, help_text="The task for that kind of image.")
    probability = serializers.FloatField()
    is_sure = serializers.BooleanField()
    agreement = serializers.ChoiceField(
        choices=AGREEMENTS,
        help_text="With the task that the header names. `chosen`: the header names none and the "
        "image decided. `no_header`: the header names none and nothing was decided.",
    )
    frames = serializers.IntegerField(help_text="Images looked at.")
    sure_frames = serializers.IntegerField(help_text="Images that surely look so.")


class RoutingSerializer(SeriesRoutingSerializer):
    """The body-part model's view: of the series that counts, and of each by its id."""

    chosen = serializers.BooleanField(help_text="Whether the image, not the header, decided.")
    model_digest = serializers.CharField()
    model_version = serializers.CharField()
    stage = serializers.ChoiceField(choices=Stage.choices)
    series = serializers.DictField(child=SeriesRoutingSerializer())


class TallySerializer(serializers.Serializer):
    """How many of several images say what the answer says."""

    label = serializers.CharField(  # type: ignore[assignment]  # a field
        help_text="The label given or suspected; the normal one where no finding passed."
    )
    images = serializers.IntegerField(help_text="Images read, those left out among them.")
    answered = serializers.IntegerField(help_text="Those that weren't left out.")
    agreeing = serializers.IntegerField(help_text="Those that say so.")
    neighbouring = serializers.IntegerField(help_text="How many of these follow one another.")
    needed = serializers.IntegerField(
        help_text="Neighbours that a finding needs; 0 where one image decides for itself."
    )
    operating_points = serializers.DictField(
        child=serializers.FloatField(),
        help_text="Of each disease in a series; empty where they are a single image's.",
    )
    words = serializers.CharField(help_text="The same as a sentence.")


class TextOrNull(serializers.CharField):
    """A text that is null in the API where the row's is empty."""

    def __init__(self, **kwargs: Any) -> None:
        """Read-only."""
        super().__init__(read_only=True, allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]  # or null
        """Null for an empty text."""
        return super().to_representation(value) or None


class ConclusionSerializer(serializers.Serializer):
    """A person's decision on a result, in short; the whole of it is under `review`."""

    label = TextOrNull(  # type: ignore[assignment]  # a field, not this one's caption
        help_text="The finding that the person named; null where the study can't be assessed."
    )
    label_display = serializers.CharField(help_text="The same in words.")
    by = serializers.CharField(help_text="The reviewer's name.")
    at = serializers.DateTimeField()
    decision = serializers.ChoiceField(choices=Decision.choices)


class WaitingSerializer(serializers.Serializer):
    """Why a queued classification waits, though nothing is wrong with its study."""

    code = serializers.CharField()
    message = serializers.CharField()


class FailureSerializer(serializers.Serializer):
    """Why a classification failed, and what to do."""

    code = serializers.CharField()
    message = serializers.CharField()
    action = serializers.CharField()


class CodeSerializer(serializers.Serializer):
    """A label in a terminology; scheme `SCT` is SNOMED CT."""

    value = serializers.CharField()
    scheme = serializers.CharField()
    meaning = serializers.CharField()


class ClassificationSerializer(serializers.ModelSerializer[Classification]):
    """A network's answer about a study, and a person's conclusion once there is one."""

    outcome = serializers.ChoiceField(
        choices=ClassificationOutcome.choices,
        read_only=True,
        allow_null=True,
        help_text=OUTCOME_HELP,
    )
    label = TextOrNull(  # type: ignore[assignment]  # a field, not this one's caption
        help_text="The finding, or the normal label; null where the outcome gives neither."
    )
    label_display = TextOrNull(help_text="The label in words.")
    suspected_label = TextOrNull(
        help_text="The disease that `flagged`, `indeterminate` and `below_operating_point` are "
        "about; else null. It is no finding."
    )
    suspected_label_display = TextOrNull(help_text="The suspected label in words.")
    likeliest_label = TextOrNull(
        help_text="The most probable label, whatever the outcome; null where no answer is given."
    )
    likeliest_label_display = TextOrNull(help_text="The most probable label in words.")
    headline = serializers.SerializerMethodField()
    conclusion = serializers.SerializerMethodField()
    label_code = CodeSerializer(read_only=True, allow_null=True)
    stage = serializers.ChoiceField(
        choices=Stage.choices,
        source="model_version.stage",
        read_only=True,
        allow_null=True,
        help_text=STAGE_HELP,
    )
    study_instance_uid = serializers.CharField(
        source="study.study_instance_uid", read_only=True, help_text="(0020,000D)"
    )
    accession_number = serializers.CharField(
        source="study.accession_number", read_only=True, help_text="(0008,0050); may be empty."
    )
    patient_id = serializers.CharField(
        source="study.patient.mrn", read_only=True, help_text="Patient ID (0010,0020)."
    )
    issuer = serializers.CharField(
        source="study.patient.issuer",
        read_only=True,
        help_text="Issuer of Patient ID (0010,0021); may be empty.",
    )
    routing = serializers.SerializerMethodField()
    status = serializers.ChoiceField(
        choices=ClassificationState.choices,
        source="state",
        read_only=True,
        help_text="The state of the workflow.",
    )
    probabilities = serializers.DictField(
        child=serializers.FloatField(),
        read_only=True,
        help_text="Of each label, calibrated. With the abstention `source_not_validated` they are "
        "there for whoever validates the model, and are no answer.",
    )
    abstention = serializers.CharField(
        read_only=True, help_text="The code of the reason why there is no answer; more may come."
    )
    input_hashes = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="SHA-256 of what was looked at."
    )
    notes = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Sentences for people."
    )
    timings = serializers.DictField(
        child=serializers.FloatField(), read_only=True, help_text="Of each step, in seconds."
    )
    task = serializers.ChoiceField(choices=CLASSIFICATION_TASKS, allow_blank=True, read_only=True)
    updated_at = serializers.DateTimeField(
        source="changed_at",
        read_only=True,
        help_text="When the result, its study or its patient last changed.",
    )
    probability = serializers.FloatField(
        allow_null=True, help_text="Of the label given or suspected, calibrated."
    )
    operating_point = serializers.FloatField(
        allow_null=True,
        help_text="The probability from which that label is given; null for the normal label.",
    )
    tally = serializers.SerializerMethodField()
    model_version = serializers.SerializerMethodField()
    failure = serializers.SerializerMethodField()
    waiting = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    notice = serializers.SerializerMethodField()

    class Meta:
        """Everything, read-only."""

        model = Classification
        fields = (
            "id",
            "study",
            "study_instance_uid",
            "accession_number",
            "patient_id",
            "issuer",
            "task",
            "status",
            "priority",
            "conclusion",
            "outcome",
            "headline",
            "label",
            "label_display",
            "label_code",
            "suspected_label",
            "suspected_label_display",
            "likeliest_label",
            "likeliest_label_display",
            "stage",
            "probability",
            "operating_point",
            "probabilities",
            "confidence",
            "abstention",
            "abstention_reason",
            "failure",
            "waiting",
            "model_digest",
            "model_version",
            "runtime",
            "aggregation",
            "routing",
            "notes",
            "tally",
            "input_hashes",
            "timings",
            "attempt",
            "queued_at",
            "started_at",
            "finished_at",
            "updated_at",
            "supersedes",
            "review",
            "notice",
        )
        read_only_fields = fields

    def get_model_version(self, row: Classification) -> str | None:
        """Task and version of the model."""
        return str(row.model_version) if row.model_version else None

    @extend_schema_field(RoutingSerializer(allow_null=True))
    def get_routing(self, row: Classification) -> dict[str, Any] | None:
        """What the body-part model saw; null where none was in use."""
        return row.routing or None

    @extend_schema_field(TallySerializer(allow_null=True))
    def get_tally(self, row: Classification) -> dict[str, Any] | None:
        """How many of several images say so; null of a single one."""
        return row.tally or None

    def get_headline(self, row: Classification) -> str:
        """The model's answer in one sentence, as the pages show it."""
        return headline_of(row)

    @extend_schema_field(ConclusionSerializer(allow_null=True))
    def get_conclusion(self, row: Classification) -> dict[str, Any] | None:
        """The person's word, which stands before the model's; null until somebody signed."""
        found = conclusion_of(row)
        return ConclusionSerializer(found).data if found else None

    @extend_schema_field(FailureSerializer(allow_null=True))
    def get_failure(self, row: Classification) -> dict[str, str] | None:
        """The reason of a failure."""
        if not row.failure_code:
            return None
        return {
            "code": row.failure_code,
            "message": row.failure_message,
            "action": row.failure_action,
        }

    @extend_schema_field(WaitingSerializer(allow_null=True))
    def get_waiting(self, row: Classification) -> dict[str, str] | None:
        """What is in the way, while it waits for no fault of its study's; it passes by itself."""
        if not row.is_waiting:
            return None
        return {"code": row.waiting_code, "message": row.waiting_sentence}

    @extend_schema_field(ReviewSerializer(allow_null=True))
    def get_review(self, row: Classification) -> dict[str, Any] | None:
        """The person's decision, once there is one."""
        review = getattr(row, "review", None)
        return ReviewSerializer(review).data if review else None

    def get_notice(self, row: Classification) -> str:
        """The sentences that go wherever a result goes."""
        sentence = row.model_version.stage_sentence if row.model_version else ""
        return f"{DECISION_SUPPORT} {sentence}".rstrip()


class ClassificationDetailSerializer(ClassificationSerializer):
    """The same with the score of every frame."""

    instance_scores = InstanceScoreSerializer(many=True, read_only=True)

    class Meta:
        """The list's fields and the frames."""

        model = Classification
        fields = (*ClassificationSerializer.Meta.fields, "instance_scores")
        read_only_fields = fields
