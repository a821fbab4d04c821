"""De-identified copies through the API."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import mixins, renderers, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.api.entity_tags import Editable, check_unchanged
from accounts.api.filtering import parameters_of
from accounts.api.idempotency import idempotent
from accounts.api.negotiation import AnyAccept
from accounts.api.strict import StrictSerializer, read_body
from accounts.parameters import Takes, takes
from accounts.reads import Declared, told_by
from accounts.roles import Verb
from records.accesses import record_export_view
from records.api.filters import HoldFrameForm, read_parameters
from records.api.told_lists import ToldListViewSet
from records.choices import Action
from records.dicom.deidentification import Options, Rectangle
from records.errors import ExportNotAllowed
from records.models import Export, ExportHold, Study
from records.responses import export_response, find_export, find_hold, hold_response
from records.services import clear_export, request_export


class RegionSerializer(serializers.ListField):
    """x, y, width and height in pixels, from the upper left corner."""

    child = serializers.IntegerField(min_value=0)

    def __init__(self, **kwargs: Any) -> None:
        """Take four numbers, no more and no fewer."""
        super().__init__(min_length=4, max_length=4, **kwargs)


class NewExportSerializer(StrictSerializer):
    """A copy as it is asked for."""

    studies = serializers.ListField(child=serializers.UUIDField(), allow_empty=False)
    project = serializers.CharField(max_length=64)
    purpose = serializers.CharField(max_length=200)
    retain_dates = serializers.BooleanField(default=False)
    retain_device = serializers.BooleanField(default=False)
    retain_patient = serializers.BooleanField(default=False)


@extend_schema_serializer(component_name="HoldDecision")
class DecisionSerializer(StrictSerializer):
    """What a person saw in one image; no region means that nothing is written on it."""

    hold = serializers.UUIDField()
    regions = serializers.ListField(child=RegionSerializer(), default=list)


class ClearanceSerializer(StrictSerializer):
    """Decisions about images that are held back."""

    decisions = serializers.ListField(child=DecisionSerializer(), allow_empty=False)


class ExportHoldSerializer(serializers.ModelSerializer[ExportHold]):
    """An image that doesn't leave before a person has looked at it."""

    frames = serializers.SerializerMethodField(help_text="How many frames must be looked at.")
    regions = serializers.ListField(child=RegionSerializer(), read_only=True)
    blackened = serializers.ListField(child=RegionSerializer(), read_only=True)

    class Meta:
        model = ExportHold
        fields = ("id", "instance", "frames", "cause", "regions", "blackened", "decided_at")

    def get_frames(self, hold: ExportHold) -> int:
        """Each of them is fetched before a decision."""
        return len(hold.frames)


class ExportSerializer(serializers.ModelSerializer[Export]):
    """How far a copy has come."""

    class Meta:
        model = Export
        fields = (
            "id",
            "state",
            "studies",
            "project",
            "purpose",
            "retain_dates",
            "retain_device",
            "retain_patient",
            "failure_code",
            "failure",
            "image_count",
            "size_bytes",
            "sha256",
            "requested_at",
            "cleared_at",
            "ready_at",
        )


class LeftOutSerializer(serializers.Serializer[Any]):
    """An object that can't be de-identified."""

    instance = serializers.UUIDField()
    code = serializers.CharField()


class ExportDetailSerializer(ExportSerializer):
    """A copy with the images that are held back, and the objects that are left out."""

    holds = ExportHoldSerializer(many=True, read_only=True)
    left_out = LeftOutSerializer(many=True, read_only=True)

    class Meta:
        model = Export
        fields = (*ExportSerializer.Meta.fields, "holds", "left_out")


def recall_export(view: "ExportViewSet", body: Any) -> None:
    """Let a kept answer about a copy leave again, to who may still see it."""
    user = signed_in_user(view.request)
    record_export_view(user, find_export(user, body["id"]))


@extend_schema_view(
    list=extend_schema(summary="De-identified copies, newest first"),
    retrieve=extend_schema(
        summary="A de-identified copy: its state, and what is held back",
        responses=ExportDetailSerializer,
    ),
)
class ExportViewSet(Editable, mixins.RetrieveModelMixin, ToldListViewSet):
    """De-identified copies of studies of the caller's departments."""

    verb = Verb.STUDY_EXPORT
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.EXPORTS_LISTED),
        "create": told_by(Action.STUDY_EXPORTED, Action.EXPORT_VIEWED),
        "retrieve": told_by(Action.EXPORT_VIEWED),
        "clear": told_by(Action.EXPORT_VIEWED),
        "hold": told_by(Action.IMAGE_VIEWED),
        "file": told_by(Action.STUDY_EXPORTED),
    }
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {
        "create": (404,),
        "clear": (410,),
        "file": (409, 410),
        "hold": (410, 422),
    }
    serializer_class = ExportSerializer
    queryset = Export.objects.none()
    ordering = ("-requested_at", "-id")
    list_action = Action.EXPORTS_LISTED
    parameters: ClassVar[dict[str, Takes]] = {"hold": takes(form=HoldFrameForm)}

    def get_queryset(self) -> QuerySet[Export]:
        """Those of the departments from which the caller may export."""
        rows = Export.objects.visible_to(signed_in_user(self.request))
        return rows.prefetch_related("studies")

    def describe(self, row: Export) -> Any:
        """With what is held back."""
        return ExportDetailSerializer(row).data

    @extend_schema(
        summary="Ask for a de-identified copy",
        request=NewExportSerializer,
        responses={201: ExportDetailSerializer},
    )
    @idempotent(recall_export)
    def create(self, request: Request) -> Response:
        """Ask for it; follow `state` until it is `ready`, or `held` for a person to look."""
        given = read_body(request, NewExportSerializer)
        wanted, user = given.validated_data, signed_in_user(request)
        studies = list(Study.objects.visible_to(user).filter(pk__in=wanted["studies"]))
        if len(studies) != len(set(wanted["studies"])):
            raise ExportNotAllowed
        names = ("retain_dates", "retain_device", "retain_patient")
        export = request_export(
            actor=user,
            studies=studies,
            project=wanted["project"],
            purpose=wanted["purpose"],
            options=Options(**{name: wanted[name] for name in names}),
        )
        return Response(ExportDetailSerializer(export).data, status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one copy."""
        return self._answer(self.get_object())

    @extend_schema(
        summary="Decide about images that are held back",
        request=ClearanceSerializer,
        responses=ExportDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def clear(self, request: Request, pk: UUID) -> Response:
        """Say what a person saw in them; after the last decision the copy is made.

        Each frame of them has been fetched before from `holds/`, by the same person.
        """
        user = signed_in_user(request)
        export = find_export(user, pk)
        check_unchanged(request, self.describe(export))
        given = read_body(request, ClearanceSerializer)
        decisions = {
            one["hold"]: [Rectangle(*region) for region in one["regions"]]
            for one in given.validated_data["decisions"]
        }
        export = clear_export(actor=user, export=export, decisions=decisions)
        return self._answer(export)

    @extend_schema(
        summary="A frame of an image that is held back, as a PNG picture",
        parameters=parameters_of(HoldFrameForm),
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        url_path="holds/<uuid:hold_pk>",
        content_negotiation_class=AnyAccept,
        renderer_classes=(renderers.JSONRenderer,),
    )
    def hold(self, request: Request, pk: UUID, hold_pk: UUID) -> HttpResponseBase:
        """Draw one frame, counted from 1; who decides about the image has fetched each."""
        user = signed_in_user(request)
        read_parameters(request, HoldFrameForm)
        hold = find_hold(find_export(user, pk), hold_pk)
        return hold_response(request._request, user, hold)

    @extend_schema(
        summary="The copy: a ZIP file of DICOM images and labels.csv",
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        content_negotiation_class=AnyAccept,
        renderer_classes=(renderers.JSONRenderer,),
    )
    def file(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Return the copy, once it is ready."""
        user = signed_in_user(request)
        return export_response(user, find_export(user, pk))

    def _answer(self, export: Export) -> Response:
        record_export_view(signed_in_user(self.request), export)
        return Response(self.describe(export))
