"""The shapes of classifications, reviews and model versions in the API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.strict import StrictSerializer
from classifier.models import (
    STUDY_TASKS,
    Classification,
    Decision,
    InstanceScore,
    ModelVersion,
    OverrideReason,
    Review,
    Stage,
)

DECISION_SUPPORT = "Decision support. A person decides."
STAGE_HELP = (
    "`research`: below its release gate or signed by nobody whom the site trusts, not for use in "
    "a decision. Null without a model."
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
        choices=OverrideReason.choices,
        required=False,
        default="",
        help_text="Required with `override` and `uninterpretable`.",
    )
    comment = serializers.CharField(required=False, default="", max_length=2000)


class TaskStatementSerializer(StrictSerializer):
    """What the images of a study show, where their header doesn't say."""

    task = serializers.ChoiceField(choices=STUDY_TASKS)


class InstanceScoreSerializer(serializers.ModelSerializer):
    """What the network said of one frame (counted from 1)."""

    class Meta:
        """By instance and frame."""

        model = InstanceScore
        fields = ("instance", "frame", "probabilities", "is_deciding")
        read_only_fields = fields


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


class ClassificationSerializer(serializers.ModelSerializer[Classification]):
    """A network's answer about a study. `label` is empty while there is none."""

    label_display = serializers.CharField(read_only=True, help_text="The label in words.")
    label_code = serializers.DictField(
        child=serializers.CharField(),
        read_only=True,
        allow_null=True,
        help_text="`value`, `scheme` (`SCT` is SNOMED CT) and `meaning`.",
    )
    stage = serializers.ChoiceField(
        choices=Stage.choices,
        source="model_version.stage",
        read_only=True,
        allow_null=True,
        help_text=STAGE_HELP,
    )
    is_indeterminate = serializers.BooleanField(
        read_only=True,
        help_text="The probabilities are too close to call; the label must not be taken as given.",
    )
    routing = serializers.SerializerMethodField()
    status = serializers.CharField(source="state", help_text="The state of the workflow.")
    probability = serializers.FloatField(allow_null=True)
    model_version = serializers.SerializerMethodField()
    abstained = serializers.SerializerMethodField()
    failure = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    notice = serializers.SerializerMethodField()

    class Meta:
        """Everything, read-only."""

        model = Classification
        fields = (
            "id",
            "study",
            "task",
            "status",
            "priority",
            "label",
            "label_display",
            "label_code",
            "stage",
            "probability",
            "probabilities",
            "confidence",
            "is_indeterminate",
            "abstained",
            "abstention",
            "abstention_reason",
            "failure",
            "model_digest",
            "model_version",
            "runtime",
            "aggregation",
            "routing",
            "notes",
            "input_hashes",
            "timings",
            "attempt",
            "queued_at",
            "started_at",
            "finished_at",
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

    def get_abstained(self, row: Classification) -> bool:
        """Tell whether the model gave no answer."""
        return bool(row.abstention)

    def get_failure(self, row: Classification) -> dict[str, str] | None:
        """The reason of a failure."""
        if not row.failure_code:
            return None
        return {
            "code": row.failure_code,
            "message": row.failure_message,
            "action": row.failure_action,
        }

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


class ModelVersionSerializer(serializers.ModelSerializer):
    """A trained network. `is_live` tells whether it answers its task now.

    `signed_by` is the id of the key that signed it; empty, the site trusts no signer, and the
    version can't be put into use.
    """

    is_live = serializers.SerializerMethodField()

    class Meta:
        """With the manifest: labels, thresholds, figures, limits."""

        model = ModelVersion
        fields = (
            "id",
            "task",
            "version",
            "digest",
            "stage",
            "signed_by",
            "is_live",
            "registered_at",
            "manifest",
        )
        read_only_fields = fields

    def get_is_live(self, version: ModelVersion) -> bool:
        """Compare with the newest deployment of the task."""
        return getattr(version, "live_id", None) == version.pk
