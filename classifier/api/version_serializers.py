"""The shapes of model versions, and of what is stated about them, in the API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from classifier.choices import MapStanding
from classifier.image_limits import image_limits_of
from classifier.meanings import meanings_of
from classifier.models import ModelVersion, SourceValidation
from classifier.task_registry import TASK_CHOICES


@extend_schema_field(
    {
        "type": "object",
        "description": "What the bundle says of itself; docs/models.md explains it.",
        "properties": {
            "task": {"type": "string"},
            "version": {"type": "string"},
            "labels": {"type": "array", "items": {"type": "string"}},
            "operating": {"type": "object", "additionalProperties": True},
            "external": {
                "type": "object",
                "description": "What it said to images of other places, by source: `metrics` are "
                "the figures there, `own` those of its own test images, `drops` how much worse.",
                "additionalProperties": {"type": "object", "additionalProperties": True},
            },
            "maps": {
                "type": ["object", "null"],
                "description": "Where its heat maps peak, with masks of where disease can lie and "
                "without: `figures` with intervals, and the `standing` that follows.",
                "additionalProperties": True,
            },
            "files": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": True,
    }
)
class ManifestField(serializers.JSONField):
    """A bundle's manifest, as it is signed."""


class SourceValidationSerializer(serializers.ModelSerializer[SourceValidation]):
    """A statement that a version was validated on a source of images; it stands until withdrawn."""

    source = serializers.CharField(  # type: ignore[assignment]  # a field, not this one's source
        read_only=True, help_text="The department's name, or what the images carry."
    )
    stated_by = serializers.CharField(source="stated_by.username", read_only=True, allow_null=True)
    withdrawn_by = serializers.CharField(
        source="withdrawn_by.username", read_only=True, allow_null=True, default=None
    )
    withdrawn_at = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        """All that was stated."""

        model = SourceValidation
        fields = (
            "id",
            "kind",
            "source",
            "figures",
            "reason",
            "stated_by",
            "stated_at",
            "withdrawn_by",
            "withdrawn_at",
            "withdrawal_reason",
        )
        read_only_fields = fields


class WordMeaningSerializer(serializers.Serializer):
    """What a word of `confidence` has meant with this version."""

    word = serializers.CharField()
    is_said = serializers.BooleanField(help_text="False for a word that it didn't earn.")
    asked = serializers.FloatField(
        allow_null=True, help_text="Least share right, in every source with enough answers."
    )
    # Null for a word that was never said there.
    validation_right = serializers.IntegerField(
        source="validation.right", default=None, allow_null=True
    )
    validation_answers = serializers.IntegerField(
        source="validation.answers", default=None, allow_null=True
    )
    validation_low = serializers.FloatField(
        source="validation.low",
        default=None,
        allow_null=True,
        help_text="Lower bound of the worst source.",
    )
    test_right = serializers.FloatField(source="test.value", default=None, allow_null=True)
    test_answers = serializers.IntegerField(source="test.images", default=None, allow_null=True)


class ImageLimitSerializer(serializers.Serializer):
    """One quality of an image for which a version gives no result."""

    measure = serializers.CharField(help_text="As the manifest calls it; `size` is its scope's.")
    code = serializers.CharField(
        help_text="The `abstention` that results then say; empty for a measure not known here."
    )
    words = serializers.CharField()
    explanation = serializers.CharField(help_text="What is wrong with such an image.")
    limit = serializers.FloatField(
        help_text="Largest value of the measure that is answered; of `size`, least pixels across."
    )
    refused = serializers.FloatField(
        allow_null=True, help_text="Share of the unspoilt validation images that it refuses."
    )


class UnmetChangeSerializer(serializers.Serializer):
    """A way of spoiling images that still misleads a version."""

    name = serializers.CharField(help_text="As the manifest calls it: `blur.2`.")
    words = serializers.CharField()
    safe = serializers.FloatField(help_text="Share of such images read rightly or refused.")


class ImageLimitsSerializer(serializers.Serializer):
    """How good an image must be for a version."""

    limits = ImageLimitSerializer(many=True)
    refused = serializers.FloatField(
        help_text="Share of the unspoilt validation images that all limits refuse together."
    )
    unmet = UnmetChangeSerializer(many=True)


class ModelVersionSerializer(serializers.ModelSerializer):
    """A trained network. `is_live` tells whether it answers its task now.

    `signed_by` is the id of the key that signed it; empty, the site trusts no signer, and the
    version can't be put into use.
    """

    task = serializers.ChoiceField(choices=TASK_CHOICES, read_only=True)
    is_live = serializers.SerializerMethodField()
    is_own_source_only = serializers.BooleanField(
        read_only=True,
        help_text="Whether it gives no label to images of a source that nobody has validated.",
    )
    map_standing = serializers.ChoiceField(
        choices=MapStanding.choices,
        read_only=True,
        help_text="Whether its heat maps were shown to point at disease; "
        "`unproven` ones are folded away.",
    )
    map_sentence = serializers.CharField(
        read_only=True, help_text="What to say beside its heat maps; empty for `supported` ones."
    )
    source_validations = SourceValidationSerializer(many=True, read_only=True)
    confidence_words = serializers.SerializerMethodField()
    image_limits = serializers.SerializerMethodField()
    manifest = ManifestField(read_only=True)

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
            "is_own_source_only",
            "map_standing",
            "map_sentence",
            "source_validations",
            "confidence_words",
            "image_limits",
            "registered_at",
            "manifest",
        )
        read_only_fields = fields

    def get_is_live(self, version: ModelVersion) -> bool:
        """Compare with the newest deployment of the task."""
        return getattr(version, "live_id", None) == version.pk

    @extend_schema_field(WordMeaningSerializer(many=True))
    def get_confidence_words(self, version: ModelVersion) -> list[dict[str, Any]]:
        """What each word of confidence has meant; empty where that was not measured."""
        return list(WordMeaningSerializer(meanings_of(version), many=True).data)

    @extend_schema_field(ImageLimitsSerializer(allow_null=True))
    def get_image_limits(self, version: ModelVersion) -> dict[str, Any] | None:
        """What it refuses for how an image was taken or stored; null where it refuses nothing."""
        found = image_limits_of(version)
        return dict(ImageLimitsSerializer(found).data) if found else None
