"""Classifications, reviews and model versions over REST."""

from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.api.entity_tags import Editable
from accounts.api.idempotency import idempotent
from accounts.api.strict import read_body, refuse_body
from accounts.audit import record_access
from accounts.reads import NOTHING, Declared, told_by
from accounts.roles import Verb
from classifier.api.filters import ClassificationFilters
from classifier.api.serializers import (
    ClassificationDetailSerializer,
    ClassificationSerializer,
    ReviewRequestSerializer,
    ReviewSerializer,
    TaskStatementSerializer,
)
from classifier.api.version_serializers import ModelVersionSerializer
from classifier.choices import Action
from classifier.models import Classification, ModelVersion, Review
from classifier.services.requests import rerun_classification, state_task
from classifier.services.reviews import review_classification
from records.api.told_lists import ToldListViewSet

REVIEW_LISTING = ("reviewer", "responsible", "classification__model_version")


def recall_classification(view: "ClassificationViewSet", body: Any) -> None:
    """Let a kept answer with a new classification leave again, to who may still see it."""
    view.record_view(get_object_or_404(view.get_queryset(), pk=body["id"]))


def recall_review(view: "ClassificationViewSet", body: Any) -> None:
    """Let a kept answer with a decision leave again, to who may still see what it is about."""
    view.record_view(get_object_or_404(view.get_queryset(), pk=body["classification"]))


class ClassificationViewSet(Editable, mixins.RetrieveModelMixin, ToldListViewSet):
    """What the networks said, newest first."""

    verbs: ClassVar[dict[str, Verb]] = {
        "list": Verb.STUDY_VIEW,
        "retrieve": Verb.STUDY_VIEW,
        "rerun": Verb.STUDY_RERUN,
        "state_task": Verb.STUDY_RERUN,
        "review_list": Verb.STUDY_VIEW,
        "review_create": Verb.REVIEW_CREATE,
    }
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.CLASSIFICATIONS_LISTED),
        "retrieve": told_by(Action.CLASSIFICATION_VIEWED),
        "rerun": told_by(Action.CLASSIFICATION_VIEWED),
        "state_task": told_by(Action.CLASSIFICATION_VIEWED),
        "review_list": told_by(Action.CLASSIFICATION_VIEWED),
        "review_create": told_by(Action.CLASSIFICATION_VIEWED),
    }
    queryset = Classification.objects.none()
    serializer_class = ClassificationSerializer
    ordering = ("-queued_at", "-id")
    list_action = Action.CLASSIFICATIONS_LISTED
    filter_form_class = ClassificationFilters

    def get_queryset(self) -> Any:
        """Start from what the caller may see."""
        return Classification.objects.visible_to(signed_in_user(self.request)).with_listing()

    def get_serializer_class(self) -> type[ClassificationSerializer]:
        """One row comes with its frames."""
        if self.action == "retrieve":
            return ClassificationDetailSerializer
        return ClassificationSerializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with one result, and record that it was seen."""
        row = self.get_object()
        self.record_view(row)
        return Response(self.describe(row))

    def describe(self, row: Classification) -> Any:
        """With its frames."""
        return ClassificationDetailSerializer(row).data

    @extend_schema(request=None, responses={201: ClassificationSerializer})
    @idempotent(recall_classification)
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, **_: Any) -> Response:
        """Run it again; the earlier result stays, superseded."""
        row = self.get_object()
        refuse_body(request)
        row = rerun_classification(actor=signed_in_user(request), classification=row)
        self.record_view(row)
        return Response(ClassificationSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TaskStatementSerializer, responses={201: ClassificationSerializer})
    @idempotent(recall_classification)
    @action(detail=True, methods=["post"], url_path="task")
    def state_task(self, request: Request, **_: Any) -> Response:
        """Say what the images show, where their header doesn't, and classify them anew."""
        earlier = self.get_object()
        stated = read_body(request, TaskStatementSerializer)
        rows = state_task(
            actor=signed_in_user(request),
            classification=earlier,
            task=stated.validated_data["task"],
        )
        self.record_view(rows[0])
        return Response(ClassificationSerializer(rows[0]).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=ReviewSerializer(many=True))
    @action(detail=True, methods=["get"], url_path="reviews", pagination_class=None)
    def review_list(self, request: Request, **_: Any) -> Response:
        """The decision on this result, if there is one."""
        row = self.get_object()
        self.record_view(row)
        reviews = Review.objects.filter(classification=row)
        return Response(ReviewSerializer(reviews.select_related(*REVIEW_LISTING), many=True).data)

    @extend_schema(request=ReviewRequestSerializer, responses={201: ReviewSerializer})
    @review_list.mapping.post
    @idempotent(recall_review)
    def review_create(self, request: Request, **_: Any) -> Response:
        """Record a decision; it can't be changed afterwards."""
        row = self.get_object()
        self.record_view(row)
        decided = read_body(request, ReviewRequestSerializer)
        review = review_classification(
            actor=signed_in_user(request),
            classification=row,
            **decided.validated_data,
        )
        return Response(ReviewSerializer(review).data, status=status.HTTP_201_CREATED)

    def record_view(self, row: Classification) -> None:
        """Note that somebody saw a result."""
        record_access(
            action=Action.CLASSIFICATION_VIEWED,
            actor=signed_in_user(self.request),
            target=row,
            study=row.study,
        )


class ModelVersionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet
):
    """The networks that the product knows."""

    verb = Verb.MODEL_VIEW
    reads = NOTHING
    queryset = ModelVersion.objects.none()
    serializer_class = ModelVersionSerializer
    lookup_value_converter = "uuid"
    ordering = ("-registered_at", "-id")

    def get_queryset(self) -> Any:
        """Start from what the caller may see."""
        return (
            ModelVersion.objects.visible_to(signed_in_user(self.request))
            .with_live()
            .with_validations()
        )
