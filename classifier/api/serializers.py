"""The shapes of classifications, reviews and model versions in the API."""

from typing import Any

from rest_framework import serializers

from classifier.models import (
    Classification,
    Decision,
    InstanceScore,
    ModelVersion,
    OverrideReason,
    Review,
)

DECISION_SUPPORT = "Decision support. A person decides."


class ReviewSerializer(serializers.ModelSerializer):
    """One immutable decision."""

    reviewer = serializers.CharField(source="reviewer.username")

    class Meta:
        """Everything, read-only."""

        model = Review
        fields = (
            "id",
            "classification",
            "reviewer",
            "decision",
            "label",
            "reason",
            "comment",
            "created_at",
        )
        read_only_fields = fields


class ReviewRequestSerializer(serializers.Serializer):
    """What a reviewer decides."""

    decision = serializers.ChoiceField(choices=Decision.choices)
    label = serializers.CharField(  # type: ignore[assignment]  # a field, not this one's caption
        required=False,
        allow_blank=True,
        default="",
        max_length=40,
        help_text="Your own finding; required with `override`.",
    )
    reason = serializers.ChoiceField(
        choices=OverrideReason.choices,
        required=False,
        allow_blank=True,
        default="",
        help_text="Required with `override` and `uninterpretable`.",
    )
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class InstanceScoreSerializer(serializers.ModelSerializer):
    """What the network said of one frame (counted from 1)."""

    class Meta:
        """By instance and frame."""

        model = InstanceScore
        fields = ("instance", "frame", "probabilities", "is_deciding")
        read_only_fields = fields


class ClassificationSerializer(serializers.ModelSerializer[Classification]):
    """A network's answer about a study. `label` is empty while there is none."""

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
            "probability",
            "probabilities",
            "confidence",
            "abstained",
            "abstention",
            "abstention_reason",
            "failure",
            "model_digest",
            "model_version",
            "runtime",
            "aggregation",
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

    def get_notice(self, _row: Classification) -> str:
        """The sentence that goes wherever a result goes."""
        return DECISION_SUPPORT


class ClassificationDetailSerializer(ClassificationSerializer):
    """The same with the score of every frame."""

    instance_scores = InstanceScoreSerializer(many=True, read_only=True)

    class Meta:
        """The list's fields and the frames."""

        model = Classification
        fields = (*ClassificationSerializer.Meta.fields, "instance_scores")
        read_only_fields = fields


class ModelVersionSerializer(serializers.ModelSerializer):
    """A trained network. `is_live` tells whether it answers its task now."""

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
            "is_live",
            "registered_at",
            "manifest",
        )
        read_only_fields = fields

    def get_is_live(self, version: ModelVersion) -> bool:
        """Compare with the newest deployment of the task."""
        return getattr(version, "live_id", None) == version.pk
