"""The accounts part of the API's shape."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.actions import registry
from accounts.api.strict import StrictSerializer
from accounts.models import ApiToken, AuditEvent, Department, User
from accounts.roles import Verb
from accounts.services.tokens import MAX_DAYS

DEFAULT_TOKEN_DAYS = 90


class DepartmentSerializer(serializers.ModelSerializer[Department]):
    """A department."""

    class Meta:
        model = Department
        fields = ("id", "name", "slug")
        read_only_fields = fields


class RoleSerializer(serializers.Serializer[Any]):
    """A role that a person holds, in a department or (null) for the whole hospital."""

    role = serializers.CharField(read_only=True)
    department = DepartmentSerializer(read_only=True, allow_null=True)


class MeSerializer(serializers.ModelSerializer[User]):
    """Who is asking, and what they may do with the token or session in use."""

    verbs = serializers.SerializerMethodField(help_text="Permissions, narrowed by the token.")
    roles = RoleSerializer(source="memberships_held", many=True, read_only=True)
    departments = DepartmentSerializer(source="departments_held", many=True, read_only=True)

    class Meta:
        model = User
        fields = ("id", "username", "full_name", "email", "verbs", "roles", "departments")
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_verbs(self, user: User) -> list[str]:
        """Sorted, so that answers can be compared."""
        return sorted(user.verbs)


class ApiTokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token, without its value, which nobody can read again."""

    is_usable = serializers.BooleanField(read_only=True)
    department = serializers.SlugRelatedField[Department](
        slug_field="slug",
        read_only=True,
        help_text="The department that it is bound to: it acts in no other.",
    )

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id",
            "name",
            "prefix",
            "parent",
            "department",
            "scopes",
            "is_usable",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        )
        read_only_fields: tuple[str, ...] = fields


class NewTokenSerializer(StrictSerializer):
    """What a new token is to be."""

    name = serializers.CharField(max_length=80, help_text="What the token is for.")
    days = serializers.IntegerField(
        min_value=1,
        max_value=MAX_DAYS,
        default=DEFAULT_TOKEN_DAYS,
        help_text=f"How long it is valid: 1 to {MAX_DAYS} days.",
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[verb.value for verb in Verb]),
        allow_empty=False,
        help_text="Permissions among your own, or the token's that makes it.",
    )
    department = serializers.SlugRelatedField[Department](
        slug_field="slug",
        queryset=Department.objects.none(),
        required=False,
        allow_null=True,
        help_text="One of your departments: what the token sends is filed there, and it acts in no "
        "other. Without it the token acts in all of yours.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Offer the caller's own departments: any other is unknown to them."""
        fields = super().get_fields()
        user = self.context["request"].user if "request" in self.context else None
        if isinstance(user, User):
            held = [department.pk for department in user.departments_held]
            fields["department"].queryset = Department.objects.filter(pk__in=held)  # type: ignore[attr-defined]  # it has one
        return fields


class IssuedTokenSerializer(ApiTokenSerializer):
    """A token just made, with its value: the only time that it is shown."""

    value = serializers.CharField(read_only=True)

    class Meta(ApiTokenSerializer.Meta):
        fields = (*ApiTokenSerializer.Meta.fields, "value")
        read_only_fields = fields


class ActionField(serializers.ChoiceField):
    """An action of any app, as registered when the serializer is made."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=registry.choices(), **kwargs)


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One thing that somebody did or saw."""

    action = ActionField(read_only=True)
    sentence = serializers.CharField(read_only=True, help_text="The event in words.")
    details = serializers.DictField(
        read_only=True, help_text="What else there is to say; other names for each action."
    )

    class Meta:
        model = AuditEvent
        fields = (
            "event_id",
            "occurred_at",
            "action",
            "outcome",
            "sentence",
            "actor_kind",
            "actor_id",
            "actor_name",
            "token_id",
            "session_id",
            "responsible_id",
            "responsible_name",
            "source_address",
            "user_agent",
            "request_id",
            "view",
            "target_type",
            "target_id",
            "study_id",
            "patient_id",
            "department_id",
            "details",
            "database_user",
        )
        read_only_fields = fields
