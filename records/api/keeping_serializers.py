"""What the API takes in and gives out about deleted studies, legal holds and storage."""

from typing import Any

from rest_framework import serializers

from accounts.api.strict import StrictSerializer
from accounts.models import Department
from records.api.serializers import PatientReferenceSerializer
from records.models import LegalHold, Study
from records.models.imaging import REASON_LENGTH


class ReasonSerializer(StrictSerializer):
    """Why something is done that others will ask about."""

    reason = serializers.CharField(
        max_length=REASON_LENGTH, help_text="Without the patient's name: it is kept for ever."
    )


class DeletedStudySerializer(serializers.ModelSerializer[Study]):
    """A deleted study that can still be restored."""

    patient = PatientReferenceSerializer(read_only=True)
    department = serializers.SlugRelatedField[Department](slug_field="slug", read_only=True)
    deleted_by = serializers.StringRelatedField[Any](read_only=True)
    restorable_until = serializers.DateTimeField(read_only=True)
    is_held = serializers.BooleanField(read_only=True)

    class Meta:
        model = Study
        fields = (
            "id",
            "study_instance_uid",
            "patient",
            "department",
            "accession_number",
            "instance_count",
            "deleted_at",
            "deleted_by",
            "deletion_reason",
            "restorable_until",
            "is_held",
        )


class NewHoldSerializer(ReasonSerializer):
    """Which studies to hold, and why."""

    study = serializers.CharField(
        max_length=64, help_text="A Study Instance UID, or the accession number of any studies."
    )


class HoldSerializer(serializers.ModelSerializer[LegalHold]):
    """A legal hold. No patient's data."""

    study_instance_uid = serializers.CharField(source="study.study_instance_uid", read_only=True)
    placed_by = serializers.StringRelatedField[Any](read_only=True)
    lifted_by = serializers.StringRelatedField[Any](read_only=True)

    class Meta:
        model = LegalHold
        fields = (
            "id",
            "study_instance_uid",
            "reason",
            "placed_at",
            "placed_by",
            "lifted_at",
            "lifted_by",
            "lift_reason",
        )


class RoomSerializer(serializers.Serializer[Any]):
    """The disk that files come in by, in bytes."""

    total = serializers.IntegerField()
    free = serializers.IntegerField()
    least = serializers.IntegerField(help_text="Below so much nothing more is taken in.")
    is_low = serializers.BooleanField()


class UnreferencedTotalsSerializer(serializers.Serializer[Any]):
    """Files that no record points to."""

    files = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    next_due_at = serializers.DateTimeField(allow_null=True)


class StorageSerializer(serializers.Serializer[Any]):
    """How much is kept, how whole it is, and what is due to go."""

    files = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    never_checked = serializers.IntegerField(help_text="Not read since they were stored.")
    oldest_check_at = serializers.DateTimeField(allow_null=True)
    damaged = serializers.IntegerField()
    unreferenced = UnreferencedTotalsSerializer()
    deleted_studies = serializers.IntegerField(help_text="That can still be restored.")
    studies_past_retention = serializers.IntegerField()
    room = RoomSerializer()
