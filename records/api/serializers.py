"""What the API takes in and gives out, in DICOM's words."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.strict import StrictSerializer
from accounts.models import Department, User
from records.choices import Priority, Sex, SubmissionState, UploadState
from records.dicom.reading.declared import DeclaredFields
from records.models import (
    Instance,
    LegalHold,
    Patient,
    Series,
    Study,
    Submission,
    SubmissionFile,
    Upload,
)

STATED_SEXES = [(value, label) for value, label in Sex.choices if value]


class NewSubmissionSerializer(StrictSerializer):
    """A batch as it is sent: the files, and what they don't say themselves."""

    files = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        required=False,
        default=list,
        help_text="DICOM, PNG, JPEG, WebP, TIFF or ZIP files; repeat the field for each.",
    )
    keep_open = serializers.BooleanField(
        default=False,
        help_text="Leave the submission open for resumable uploads; close it yourself.",
    )
    department = serializers.CharField(
        required=False,
        max_length=120,
        help_text="Slug, name or id of one of your departments. It may be left out where you have "
        "one, where the token is bound to one, or where a rule of your departments fits every "
        "file (modality, body part, AE title); else the answer is `department_required`.",
    )
    priority = serializers.ChoiceField(choices=Priority.choices, default=Priority.ROUTINE)
    patient_id = serializers.CharField(required=False, max_length=64)
    issuer = serializers.CharField(required=False, max_length=64)
    patient_name = serializers.CharField(
        required=False, max_length=324, help_text="Family^Given, or Family, Given"
    )
    birth_date = serializers.DateField(required=False)
    sex = serializers.ChoiceField(choices=STATED_SEXES, required=False)
    modality = serializers.CharField(required=False, max_length=16)
    body_part = serializers.CharField(required=False, max_length=16)
    view_position = serializers.CharField(required=False, max_length=16)
    study_description = serializers.CharField(required=False, max_length=64)
    study_date = serializers.DateField(required=False)
    accession_number = serializers.CharField(required=False, max_length=16)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for files, unless they come later."""
        if not attrs["files"] and not attrs["keep_open"]:
            raise serializers.ValidationError({"files": "No file was submitted."})
        return attrs

    def declared(self) -> DeclaredFields:
        """What was stated about the patient and the study."""
        names = DeclaredFields.__dataclass_fields__
        return DeclaredFields(
            **{name: value for name, value in self.validated_data.items() if name in names}
        )


class SubmissionFileSerializer(serializers.ModelSerializer[SubmissionFile]):
    """The verdict on one file; `study` is the id of the study that it belongs to.

    Of a deleted study there is neither that nor the image.
    """

    study = serializers.SerializerMethodField()
    instance = serializers.SerializerMethodField()  # type: ignore[assignment]  # its own name

    class Meta:
        model = SubmissionFile
        fields = (
            "name",
            "verdict",
            "code",
            "message",
            "action",
            "study",
            "instance",
            "size_bytes",
            "sha256",
        )
        read_only_fields = fields

    def to_representation(self, instance: SubmissionFile) -> dict[str, Any]:
        """Tell the caller nothing of a department that they don't see."""
        request = self.context.get("request")
        user = request.user if request and isinstance(request.user, User) else None
        return super().to_representation(instance.as_told_to(user))

    def get_study(self, file: SubmissionFile) -> UUID | None:
        """Its id, while it is kept."""
        return file.study_id if file.study and not file.study.deleted_at else None

    def get_instance(self, file: SubmissionFile) -> UUID | None:
        """The id of the stored object, while its study is kept."""
        return file.instance_id if self.get_study(file) else None


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """A file on its way: how far it has come, and the verdicts once it is whole."""

    state = serializers.ChoiceField(choices=UploadState.choices, read_only=True)
    files = SubmissionFileSerializer(many=True, read_only=True)

    class Meta:
        model = Upload
        fields = ("id", "name", "size_bytes", "offset", "state", "expires_at", "files")
        read_only_fields = fields


@extend_schema_serializer(component_name="SubmissionSummary")
class SubmissionListSerializer(serializers.ModelSerializer[Submission]):
    """A batch with the number of files by verdict."""

    department = serializers.SlugRelatedField[Department](slug_field="slug", read_only=True)
    state = serializers.ChoiceField(choices=SubmissionState.choices, read_only=True)
    stored_count = serializers.IntegerField(read_only=True)
    duplicate_count = serializers.IntegerField(read_only=True)
    rejected_count = serializers.IntegerField(read_only=True)
    left_out_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Submission
        fields = (
            "id",
            "state",
            "department",
            "priority",
            "origin",
            "created_at",
            "closed_at",
            "updated_at",
            "stored_count",
            "duplicate_count",
            "rejected_count",
            "left_out_count",
        )


class SubmissionSerializer(serializers.ModelSerializer[Submission]):
    """A batch with the verdict on every file."""

    department = serializers.SlugRelatedField[Department](slug_field="slug", read_only=True)
    state = serializers.ChoiceField(choices=SubmissionState.choices, read_only=True)
    files = SubmissionFileSerializer(many=True, read_only=True)

    class Meta:
        model = Submission
        fields = (
            "id",
            "state",
            "department",
            "priority",
            "origin",
            "created_at",
            "closed_at",
            "updated_at",
            "files",
        )


class PatientReferenceSerializer(serializers.ModelSerializer[Patient]):
    """Whom a study is of."""

    patient_id = serializers.CharField(source="mrn", read_only=True)

    class Meta:
        model = Patient
        fields = (
            "id",
            "patient_id",
            "issuer",
            "name",
            "ideographic_name",
            "phonetic_name",
            "is_identified",
        )


class PatientSerializer(serializers.ModelSerializer[Patient]):
    """A patient, with how many studies the caller may see."""

    patient_id = serializers.CharField(source="mrn", read_only=True)
    study_count = serializers.IntegerField(read_only=True)
    last_study_at = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Patient
        fields = (
            "id",
            "patient_id",
            "issuer",
            "name",
            "ideographic_name",
            "phonetic_name",
            "birth_date",
            "sex",
            "is_identified",
            "study_count",
            "last_study_at",
        )


class StudySerializer(serializers.ModelSerializer[Study]):
    """A study, without its images."""

    patient = PatientReferenceSerializer(read_only=True)
    department = serializers.SlugRelatedField[Department](slug_field="slug", read_only=True)
    modalities = serializers.ListField(child=serializers.CharField(), read_only=True)
    patient_age = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text='When the study was done: "45 y", "7 mo", "3 wk".',
    )
    updated_at = serializers.DateTimeField(
        source="changed_at",
        read_only=True,
        help_text="When the study or its patient last changed.",
    )
    study_id = serializers.CharField(
        read_only=True, help_text="Study ID (0020,0010), as the department numbers its studies."
    )

    class Meta:
        model = Study
        fields: tuple[str, ...] = (
            "id",
            "study_instance_uid",
            "patient",
            "department",
            "accession_number",
            "study_id",
            "referring_physician_name",
            "referring_physician_ideographic_name",
            "referring_physician_phonetic_name",
            "description",
            "body_part",
            "modalities",
            "study_date",
            "study_time",
            "utc_offset",
            "patient_age",
            "priority",
            "state",
            "is_in_question",
            "instance_count",
            "received_at",
            "completed_at",
            "updated_at",
        )


class SeriesSerializer(serializers.ModelSerializer[Series]):
    """A series of a study, with the number of its images."""

    image_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Series
        fields = (
            "id",
            "series_instance_uid",
            "series_number",
            "modality",
            "body_part_examined",
            "stated_modality",
            "stated_body_part",
            "description",
            "laterality",
            "image_count",
        )


class StudyDetailSerializer(StudySerializer):
    """A study with its series."""

    series = serializers.SerializerMethodField()
    is_held = serializers.SerializerMethodField(help_text="Under a legal hold.")
    damaged_instances = serializers.SerializerMethodField(
        help_text="How many stored files are damaged or missing."
    )

    class Meta(StudySerializer.Meta):
        fields = (*StudySerializer.Meta.fields, "is_held", "damaged_instances", "series")

    def get_is_held(self, study: Study) -> bool:
        """Whether a legal hold stands."""
        return LegalHold.objects.standing(study=study).exists()

    def get_damaged_instances(self, study: Study) -> int:
        """How many of its files the scrubber found not to be what was received."""
        return Instance.objects.of_study(study).damaged().count()

    @extend_schema_field(SeriesSerializer(many=True))
    def get_series(self, study: Study) -> list[dict[str, Any]]:
        """The series, in the order of the examination."""
        rows = Series.objects.filter(study=study).with_counts()
        return list(SeriesSerializer(rows, many=True).data)


class InstanceSerializer(serializers.ModelSerializer[Instance]):
    """What is known of one stored object; `exclusion` says why it can't be classified."""

    study = serializers.UUIDField(source="series.study_id", read_only=True)
    series = serializers.UUIDField(source="series_id", read_only=True)

    class Meta:
        model = Instance
        fields = (
            "id",
            "study",
            "series",
            "sop_instance_uid",
            "sop_class_uid",
            "transfer_syntax_uid",
            "instance_number",
            "rows",
            "columns",
            "number_of_frames",
            "bits_stored",
            "photometric_interpretation",
            "view_position",
            "slice_position",
            "window_center",
            "window_width",
            "size_bytes",
            "sha256",
            "source_format",
            "exclusion",
            "exclusion_reason",
            "damage",
            "checked_at",
        )
