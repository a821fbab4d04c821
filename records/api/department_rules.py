"""Which department images go to, over REST: an administrator's rules, and moving a study."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.api.strict import StrictSerializer, refuse_body
from accounts.models import Department
from accounts.reads import NOTHING
from accounts.roles import Verb
from records.models import DepartmentRule, Study
from records.models.imaging import REASON_LENGTH
from records.services import add_rule, remove_rule, update_rule


class DepartmentRuleSerializer(StrictSerializer, serializers.ModelSerializer[DepartmentRule]):
    """Images of this modality, body part and AE title go to this department; empty means any."""

    department = serializers.SlugRelatedField[Department](
        slug_field="slug", queryset=Department.objects.all()
    )

    class Meta:
        model = DepartmentRule
        fields = ("id", "position", "modality", "body_part", "ae_title", "department")
        validators: ClassVar[list[Any]] = []  # the service says which rule is there already


class MoveSerializer(StrictSerializer):
    """Where a study goes, and why."""

    department = serializers.SlugRelatedField[Department](
        slug_field="slug",
        queryset=Department.objects.none(),
        help_text="The slug of one of your departments; any, for an administrator.",
    )
    reason = serializers.CharField(
        max_length=REASON_LENGTH, help_text="Without the patient's name: it stays in the trail."
    )

    def __init__(self, *args: Any, department_ids: list[UUID] | None = None, **kwargs: Any) -> None:
        """Offer the departments to which the caller may move it."""
        super().__init__(*args, **kwargs)
        offered = Department.objects.filter(pk__in=department_ids or [])
        self.fields["department"].queryset = offered  # type: ignore[attr-defined]  # it has one


class MovedStudySerializer(serializers.ModelSerializer[Study]):
    """Where a study is now; nothing of its patient, whom the caller may not see any more."""

    department = serializers.SlugRelatedField[Department](slug_field="slug", read_only=True)

    class Meta:
        model = Study
        fields = ("id", "study_instance_uid", "department", "is_in_question")
        read_only_fields = fields


@extend_schema_view(
    list=extend_schema(summary="Department rules, in their order"),
    retrieve=extend_schema(summary="A department rule"),
    create=extend_schema(summary="Add a department rule"),
    partial_update=extend_schema(summary="Edit a department rule"),
    destroy=extend_schema(summary="Remove a department rule"),
)
class DepartmentRuleViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[DepartmentRule]
):
    """Where images go whose sender belongs to several departments and names none."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    serializer_class = DepartmentRuleSerializer
    queryset = DepartmentRule.objects.none()
    pagination_class = None
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[DepartmentRule]:
        """All of them for those who manage departments."""
        rules = DepartmentRule.objects.visible_to(signed_in_user(self.request))
        return rules.select_related("department")

    def create(self, request: Request) -> Response:
        """Add one; it counts from now on."""
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        rule = add_rule(actor=signed_in_user(request), **given.validated_data)
        return Response(self.get_serializer(rule).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change what is given; the rest stays."""
        rule = self.get_object()
        given = self.get_serializer(rule, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        rule = update_rule(actor=signed_in_user(request), rule=rule, **given.validated_data)
        return Response(self.get_serializer(rule).data)

    def destroy(self, request: Request, pk: UUID) -> Response:
        """Ask it no more."""
        refuse_body(request)
        remove_rule(actor=signed_in_user(request), rule=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
