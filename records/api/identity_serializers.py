"""Identity conflicts and quarantined files as the API takes them in and gives them out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.strict import StrictSerializer
from accounts.models import Department
from records.choices import Resolution, Sex
from records.dicom.names import PersonName
from records.forms import holds_text
from records.models import ConflictDecision, IdentityConflict, QuarantinedFile
from records.services import Standing, Whose

IDENTITY_FIELDS = ("patient_id", "issuer", "name", "birth_date", "sex")
SIDES = (("held", "As held"), ("sent", "As sent"))


class IdentitySerializer(StrictSerializer):
    """Whom one side of a conflict names; `name` is a value of VR PN."""

    patient_id = serializers.CharField(max_length=64, validators=[holds_text])
    issuer = serializers.CharField(
        max_length=64, allow_blank=True, default="", validators=[holds_text]
    )
    name = serializers.CharField(
        max_length=324, allow_blank=True, default="", validators=[holds_text]
    )
    birth_date = serializers.DateField(allow_null=True, default=None)
    sex = serializers.ChoiceField(choices=Sex.choices, allow_blank=True, default="")


class ConflictDecisionSerializer(serializers.ModelSerializer[ConflictDecision]):
    """A decision, and whether it was taken back."""

    decided_by = serializers.StringRelatedField[Any](read_only=True)

    class Meta:
        model = ConflictDecision
        fields = ("id", "resolution", "reason", "decided_by", "decided_at", "reversed_at")
        read_only_fields = fields


class ConflictSerializer(serializers.ModelSerializer[IdentityConflict]):
    """What was sent and contradicts what is held; the study that it puts in question."""

    department = serializers.SlugRelatedField[Department](slug_field="slug", read_only=True)
    differing = serializers.ListField(child=serializers.CharField(), read_only=True)
    sent = serializers.SerializerMethodField()

    class Meta:
        model = IdentityConflict
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "state",
            "department",
            "study",
            "differing",
            "sent",
            "raised_at",
        )
        read_only_fields = fields

    @extend_schema_field(IdentitySerializer)
    def get_sent(self, conflict: IdentityConflict) -> dict[str, Any]:
        """Whom the files named, or whom another department's record names now."""
        said = {name: conflict.sent[name] for name in IDENTITY_FIELDS}
        return {**said, "birth_date": said["birth_date"] or None}


class ConflictDetailSerializer(ConflictSerializer):
    """One conflict with the side that is held, if the caller may see it, and the decisions."""

    held = serializers.SerializerMethodField()
    waiting_files = serializers.SerializerMethodField()
    decisions = ConflictDecisionSerializer(many=True, read_only=True)

    class Meta(ConflictSerializer.Meta):
        fields = (*ConflictSerializer.Meta.fields, "held", "waiting_files", "decisions")
        read_only_fields = fields

    @extend_schema_field(IdentitySerializer(allow_null=True))
    def get_held(self, conflict: IdentityConflict) -> dict[str, Any] | None:
        """Whom the hospital knows; null where they have no study in the caller's departments."""
        if not self.context["is_held_visible"]:
            return None
        held = conflict.held_patient
        return {
            "patient_id": held.mrn,
            "issuer": held.issuer,
            "name": str(held.person_name),
            "birth_date": held.birth_date.isoformat() if held.birth_date else None,
            "sex": held.sex,
        }

    def get_waiting_files(self, conflict: IdentityConflict) -> int:
        """How many files wait in quarantine for the decision."""
        return conflict.files.held().count()


class ResolutionSerializer(StrictSerializer):
    """A decision on whose the images are.

    `name` and `birth_date` say, with `merge`, which side is right; `corrected` is needed with
    `correct`.
    """

    resolution = serializers.ChoiceField(choices=Resolution.choices)
    reason = serializers.CharField(max_length=400)
    name = serializers.ChoiceField(choices=SIDES, default="held")
    birth_date = serializers.ChoiceField(choices=SIDES, default="held")
    corrected = IdentitySerializer(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for the identity that a correction is about."""
        if attrs["resolution"] == Resolution.CORRECT and "corrected" not in attrs:
            raise serializers.ValidationError({"corrected": "Needed with `correct`."})
        return attrs

    def decision(self) -> dict[str, Any]:
        """What `resolve_conflict` takes."""
        given = self.validated_data
        decided = {
            "resolution": Resolution(given["resolution"]),
            "reason": given["reason"],
            "standing": Standing(name=given["name"], birth_date=given["birth_date"]),
        }
        if "corrected" in given:
            stated = dict(given["corrected"])
            name = PersonName.from_text(stated.pop("name"))
            decided["corrected"] = Whose(name=name, **stated)
        return decided


class QuarantinedFileSerializer(serializers.ModelSerializer[QuarantinedFile]):
    """A file kept apart: identifiers, hashes, and who sent it. No clinical data."""

    department = serializers.SlugField(source="submission.department.slug", read_only=True)
    origin = serializers.CharField(source="submission.origin", read_only=True)
    sent_by = serializers.StringRelatedField[Any](source="submission.created_by", read_only=True)

    class Meta:
        model = QuarantinedFile
        fields = (
            "id",
            "reason",
            "state",
            "sop_instance_uid",
            "series_instance_uid",
            "study_instance_uid",
            "source_sha256",
            "held_sha256",
            "size_bytes",
            "submission",
            "department",
            "origin",
            "sent_by",
            "conflict",
            "created_at",
            "ended_at",
            "ended_reason",
        )
        read_only_fields = fields


class DiscardSerializer(StrictSerializer):
    """Why a file is given up."""

    reason = serializers.CharField(
        max_length=400, help_text="It goes into the audit trail: don't name the patient."
    )
