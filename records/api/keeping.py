"""Deletion, legal holds and the state of storage over REST."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import signed_in_user
from accounts.api.contract import ContractSchema
from accounts.api.strict import read_body, refuse_body
from accounts.reads import NOTHING, Declared, told_by
from accounts.roles import Verb
from records.api.keeping_serializers import (
    DeletedStudySerializer,
    HoldSerializer,
    NewHoldSerializer,
    ReasonSerializer,
    StorageSerializer,
)
from records.api.told_lists import ToldListViewSet
from records.choices import Action
from records.models import LegalHold, Study
from records.services import hold_study, lift_hold, restore_study
from records.services.storage import describe_storage


class ReasonedDeletionSchema(ContractSchema):
    """Describes the body of a DELETE, which the library leaves out."""

    def _get_request_body(self, direction: Any = "request") -> Any:
        if self.method != "DELETE":
            return super()._get_request_body(direction)
        body = self.resolve_serializer(ReasonSerializer, direction)
        return {"content": {"application/json": {"schema": body.ref}}, "required": True}


def read_reason(request: Request) -> str:
    """Return the reason that a request's body states; raises ValidationError."""
    given = read_body(request, ReasonSerializer)
    return str(given.validated_data["reason"])


@extend_schema_view(list=extend_schema(summary="Deleted studies that can be restored"))
class DeletedStudyViewSet(ToldListViewSet):
    """Deleted studies of the departments in which the caller may delete and restore."""

    verb = Verb.STUDY_DELETE
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.STUDIES_SEARCHED),
        "restore": NOTHING,
    }
    serializer_class = DeletedStudySerializer
    queryset = Study.objects.none()
    ordering = ("-deleted_at", "-id")
    list_action = Action.STUDIES_SEARCHED

    def get_queryset(self) -> QuerySet[Study]:
        """Those the caller may restore."""
        found = Study.objects.restorable_by(signed_in_user(self.request)).with_holds()
        return found.select_related("patient", "department", "deleted_by")

    @extend_schema(summary="Restore a study", request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, **_: Any) -> Response:
        """Bring it back as it was."""
        study = self.get_object()
        refuse_body(request)
        restore_study(actor=signed_in_user(request), study=study)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(list=extend_schema(summary="Legal holds, newest first, lifted ones included"))
class HoldViewSet(ToldListViewSet):
    """Legal holds of the whole hospital: of patients, the UIDs of their studies alone."""

    verb: ClassVar[Verb] = Verb.STUDY_HOLD
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.HOLDS_VIEWED),
        "create": told_by(Action.STUDY_HELD),
        "lift": told_by(Action.STUDY_RELEASED),
    }
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"create": (404,)}
    list_action = Action.HOLDS_VIEWED
    serializer_class = HoldSerializer
    queryset = LegalHold.objects.none()
    ordering = ("-placed_at", "-id")

    def get_queryset(self) -> QuerySet[LegalHold]:
        """What the caller may see."""
        return LegalHold.objects.visible_to(signed_in_user(self.request)).with_listing()

    @extend_schema(
        summary="Hold studies",
        request=NewHoldSerializer,
        responses={201: HoldSerializer(many=True)},
    )
    def create(self, request: Request) -> Response:
        """Hold the study of a UID, or every study of an accession number."""
        wanted = read_body(request, NewHoldSerializer)
        holds = hold_study(
            actor=signed_in_user(request),
            given=wanted.validated_data["study"],
            reason=wanted.validated_data["reason"],
        )
        body = HoldSerializer(holds, many=True).data
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Lift a hold", request=ReasonSerializer, responses=HoldSerializer)
    @action(detail=True, methods=["post"])
    def lift(self, request: Request, **_: Any) -> Response:
        """End it; other holds on the study still stand."""
        hold = lift_hold(
            actor=signed_in_user(request), hold=self.get_object(), reason=read_reason(request)
        )
        return Response(HoldSerializer(hold).data)


class StorageView(APIView):
    """The state of storage."""

    verb = Verb.STUDY_HOLD
    reads = NOTHING

    @extend_schema(summary="State of storage", responses=StorageSerializer)
    def get(self, request: Request) -> Response:
        """Count what is stored, damaged, without a record and due to go."""
        return Response(StorageSerializer(describe_storage()).data)
