"""The API of identity conflicts and of the quarantine."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import renderers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.api.negotiation import AnyAccept
from accounts.api.strict import read_body, refuse_body
from accounts.audit import record_access
from accounts.reads import Declared, told_by
from accounts.roles import Verb
from records.accesses import record_held_view, record_quarantine_view
from records.api.filters import ConflictFilters, QuarantineFilters
from records.api.identity_serializers import (
    ConflictDetailSerializer,
    ConflictSerializer,
    DiscardSerializer,
    QuarantinedFileSerializer,
    ResolutionSerializer,
)
from records.api.views import ReadOnlyViewSet
from records.choices import Action
from records.models import IdentityConflict, Patient, QuarantinedFile
from records.responses import quarantined_response
from records.services import discard_quarantined, resolve_conflict, reverse_resolution


@extend_schema_view(
    list=extend_schema(summary="Identity conflicts, newest first"),
    retrieve=extend_schema(
        summary="An identity conflict with both sides", responses=ConflictDetailSerializer
    ),
)
class ConflictViewSet(ReadOnlyViewSet):
    """What contradicts what is held about patients, in the caller's departments."""

    verb = Verb.CONFLICT_RESOLVE
    reads = told_by(Action.CONFLICTS_VIEWED)
    serializer_class = ConflictSerializer
    queryset = IdentityConflict.objects.none()
    ordering = ("-raised_at", "-id")
    list_action = Action.CONFLICTS_VIEWED
    filter_form_class = ConflictFilters

    def get_queryset(self) -> QuerySet[IdentityConflict]:
        """Those the caller may decide."""
        visible = IdentityConflict.objects.visible_to(signed_in_user(self.request))
        return visible.with_listing()

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one conflict."""
        return self._answer(self.get_object())

    @extend_schema(
        summary="Decide whose the images are",
        request=ResolutionSerializer,
        responses=ConflictDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, **_: Any) -> Response:
        """Merge, keep apart or correct; a later `reverse` takes it back."""
        conflict = self.get_object()
        given = read_body(request, ResolutionSerializer)
        resolve_conflict(actor=signed_in_user(request), conflict=conflict, **given.decision())
        return self._answer(self.get_object())

    @extend_schema(summary="Take a decision back", request=None, responses=ConflictDetailSerializer)
    @action(detail=True, methods=["post"])
    def reverse(self, request: Request, **_: Any) -> Response:
        """Restore everything that the decision changed; the conflict is open again."""
        conflict = self.get_object()
        refuse_body(request)
        reverse_resolution(actor=signed_in_user(request), conflict=conflict)
        return self._answer(self.get_object())

    def _answer(self, conflict: IdentityConflict) -> Response:
        user, study = signed_in_user(self.request), conflict.study
        record_access(action=Action.CONFLICTS_VIEWED, actor=user, target=conflict, study=study)
        if self._is_held_visible(conflict):
            record_held_view(user, conflict)
        return Response(self.describe(conflict))

    def describe(self, row: IdentityConflict) -> Any:
        """With both sides, as far as the caller may see them."""
        context = {"is_held_visible": self._is_held_visible(row)}
        return ConflictDetailSerializer(row, context=context).data

    @staticmethod
    def _is_held_visible(conflict: IdentityConflict) -> bool:
        in_sight = Patient.objects.in_sight_of(conflict)
        return in_sight.filter(pk=conflict.held_patient_id).exists()


@extend_schema_view(
    list=extend_schema(summary="Quarantined files, newest first"),
    retrieve=extend_schema(summary="A quarantined file"),
)
class QuarantineViewSet(ReadOnlyViewSet):
    """Files that contradict what is held, for those who manage the quarantine.

    Their bytes go to people of the department that they were sent to.
    """

    verb = Verb.QUARANTINE_MANAGE
    verbs = {"file": Verb.CONFLICT_RESOLVE}
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.QUARANTINE_VIEWED),
        "retrieve": told_by(Action.QUARANTINE_VIEWED),
        "file": told_by(Action.IMAGE_DOWNLOADED),
        "discard": told_by(Action.QUARANTINE_DISCARDED),
    }
    serializer_class = QuarantinedFileSerializer
    queryset = QuarantinedFile.objects.none()
    ordering = ("-created_at", "-id")
    list_action = Action.QUARANTINE_VIEWED
    filter_form_class = QuarantineFilters

    def get_queryset(self) -> QuerySet[QuarantinedFile]:
        """Those the caller may see."""
        user, files = signed_in_user(self.request), QuarantinedFile.objects.with_listing()
        return files.readable_by(user) if self.action == "file" else files.visible_to(user)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one file's identifiers and hashes."""
        file = self.get_object()
        record_quarantine_view(signed_in_user(request), file)
        return Response(self.get_serializer(file).data)

    @extend_schema(
        summary="The quarantined bytes",
        responses={(200, "application/dicom"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        content_negotiation_class=AnyAccept,
        renderer_classes=(renderers.JSONRenderer,),
    )
    def file(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Return the file as it came, to people of its department; each time is recorded."""
        return quarantined_response(signed_in_user(request), self.get_object())

    @extend_schema(
        summary="Discard a quarantined file",
        request=DiscardSerializer,
        responses=QuarantinedFileSerializer,
    )
    @action(detail=True, methods=["post"])
    def discard(self, request: Request, **_: Any) -> Response:
        """Give it up for good; identifiers, hashes and the reason stay."""
        file = self.get_object()
        given = read_body(request, DiscardSerializer)
        reason = given.validated_data["reason"]
        file = discard_quarantined(actor=signed_in_user(request), file=file, reason=reason)
        return Response(self.get_serializer(file).data)
