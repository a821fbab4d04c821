"""The accounts part of the API: oneself, one's tokens, and the audit trail for auditors."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, permissions, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in_user
from accounts.api.idempotency import idempotent
from accounts.api.serializers import (
    ApiTokenSerializer,
    AuditEventSerializer,
    DepartmentSerializer,
    IssuedTokenSerializer,
    MeSerializer,
    NewTokenSerializer,
)
from accounts.api.strict import read_body, refuse_body
from accounts.audit import record_trail_viewed
from accounts.audit_forms import AuditFilterForm
from accounts.choices import Action
from accounts.errors import SecretShownOnce
from accounts.models import ApiToken, AuditEvent, Department
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from accounts.services import issue_token, revoke_token


class MeView(APIView):
    """Who is asking. Open to everyone who is signed in."""

    reads = NOTHING
    permission_classes = (permissions.IsAuthenticated,)

    @extend_schema(responses=MeSerializer, summary="Who am I")
    def get(self, request: Request) -> Response:
        """Return the caller, with what they may do."""
        return Response(MeSerializer(signed_in_user(request)).data)


@extend_schema_view(list=extend_schema(summary="My departments"))
class DepartmentViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Department]):
    """The caller's own departments. Open to everyone who is signed in."""

    reads = NOTHING
    permission_classes = (permissions.IsAuthenticated,)
    serializer_class = DepartmentSerializer
    pagination_class = None
    queryset = Department.objects.none()

    def get_queryset(self) -> QuerySet[Department]:
        """Where the caller holds a role; of a bound token, its own."""
        held = signed_in_user(self.request).departments_held
        return Department.objects.filter(pk__in=[department.pk for department in held])


def refuse_secret(view: "TokenViewSet", body: Any) -> None:
    """Say which token a repeated request made: its value is kept nowhere."""
    raise SecretShownOnce(token=body["id"])


@extend_schema_view(list=extend_schema(summary="My API tokens"))
class TokenViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[ApiToken]):
    """The caller's own API tokens."""

    verb = Verb.TOKEN_OWN
    reads = NOTHING
    serializer_class = ApiTokenSerializer
    lookup_value_converter = "uuid"
    pagination_class = None
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        """One's own only; other people's are managed on the pages."""
        return ApiToken.objects.filter(user=signed_in_user(self.request))

    @extend_schema(
        request=NewTokenSerializer,
        responses={201: IssuedTokenSerializer},
        summary="Make an API token",
    )
    @idempotent(refuse_secret, without=("value",))
    def create(self, request: Request) -> Response:
        """Issue a token; the answer holds its value, which is never shown again.

        One that is made with a token ends with that one at the latest.
        """
        wanted = read_body(request, NewTokenSerializer)
        user = signed_in_user(request)
        parent = request.auth if isinstance(request.auth, ApiToken) else None
        token, value = issue_token(actor=user, user=user, parent=parent, **wanted.validated_data)
        token.value = value  # type: ignore[attr-defined]  # lives only in this answer
        return Response(IssuedTokenSerializer(token).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None}, summary="Revoke an API token")
    def destroy(self, request: Request, pk: str) -> Response:
        """Shut the token for good."""
        refuse_body(request)
        revoke_token(actor=signed_in_user(request), token=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(summary="Audit events, newest first"),
    retrieve=extend_schema(summary="One audit event"),
)
class AuditEventViewSet(viewsets.ReadOnlyModelViewSet[AuditEvent]):
    """The audit trail. Reading it is recorded in it."""

    verb = Verb.AUDIT_VIEW
    reads = told_by(Action.AUDIT_VIEWED)
    serializer_class = AuditEventSerializer
    queryset = AuditEvent.objects.none()
    ordering = ("-id",)
    filter_form_class = AuditFilterForm
    filter_form: AuditFilterForm
    lookup_field = "event_id"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[AuditEvent]:
        """What the caller may see."""
        return AuditEvent.objects.visible_to(signed_in_user(self.request))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of events, and note that they were read."""
        response = super().list(request, *args, **kwargs)
        record_trail_viewed(
            actor=signed_in_user(request),
            filters=self.filter_form.used(),
            count=len(response.data["results"]),
            searched=self.filter_form.terms(),
        )
        return response

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one event, and note that it was read."""
        response = super().retrieve(request, *args, **kwargs)
        record_trail_viewed(actor=signed_in_user(request), filters={}, count=1)
        return response
