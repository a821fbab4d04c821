"""The records part of the API: sending files, and reading what is held."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, parsers, renderers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.api.entity_tags import Editable
from accounts.api.filtering import parameters_of
from accounts.api.idempotency import idempotent
from accounts.api.negotiation import AnyAccept
from accounts.api.strict import read_body, refuse_body
from accounts.audit import record_access
from accounts.parameters import Takes, takes
from accounts.reads import NOTHING, Declared, told_by
from accounts.roles import Verb
from records.accesses import record_submission_view
from records.api.department_rules import MovedStudySerializer, MoveSerializer
from records.api.filters import (
    FrameForm,
    InstanceFilters,
    StudyFilters,
    SubmissionFilters,
    read_parameters,
)
from records.api.keeping import ReasonedDeletionSchema, read_reason
from records.api.searches import PatientSearchSerializer, Searched, StudySearchSerializer, page_of
from records.api.serializers import (
    InstanceSerializer,
    NewSubmissionSerializer,
    PatientSerializer,
    StudyDetailSerializer,
    StudySerializer,
    SubmissionFileSerializer,
    SubmissionListSerializer,
    SubmissionSerializer,
)
from records.api.told_lists import ToldListViewSet
from records.choices import Action, Origin, Priority
from records.errors import InvalidField
from records.facts import facts_of_uploads
from records.models import Instance, Patient, Study, Submission
from records.responses import file_response, find_instance, png_response
from records.services import (
    choose_department,
    close_submission,
    delete_study,
    move_study,
    submit_study,
)
from records.services.moving import departments_to_move_to


class ReadOnlyViewSet(Editable, mixins.RetrieveModelMixin, ToldListViewSet):
    """Lists and single rows, noted in the audit trail."""


def recall_submission(view: "SubmissionViewSet", body: Any) -> None:
    """Let a kept answer about a batch leave again, to who may still see it."""
    user = signed_in_user(view.request)
    visible = Submission.objects.visible_to(user)
    record_submission_view(user, get_object_or_404(visible, pk=body["id"]))


@extend_schema_view(
    list=extend_schema(summary="Submissions, newest first"),
    retrieve=extend_schema(summary="A submission with the verdict on every file"),
)
class SubmissionViewSet(ReadOnlyViewSet):
    """Batches of files sent to the caller's departments."""

    verb = Verb.STUDY_SUBMIT
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.SUBMISSIONS_LISTED),
        "retrieve": told_by(Action.SUBMISSION_VIEWED),
        "create": told_by(Action.SUBMISSION_OPENED, Action.SUBMISSION_VIEWED),
        "close": told_by(Action.SUBMISSION_VIEWED),
    }
    parser_classes = (parsers.MultiPartParser,)
    queryset = Submission.objects.none()
    ordering = ("-created_at", "-id")
    list_action = Action.SUBMISSIONS_LISTED
    filter_form_class = SubmissionFilters

    def get_queryset(self) -> QuerySet[Submission]:
        """The caller's own, and those of the departments to which they may send."""
        rows = Submission.objects.visible_to(signed_in_user(self.request))
        rows = rows.select_related("department")
        return (
            rows.with_counts() if self.action == "list" else rows.prefetch_related("files__study")
        )

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one batch, and record that it was seen."""
        submission = self.get_object()
        record_submission_view(signed_in_user(request), submission)
        return Response(self.describe(submission))

    def get_serializer_class(self) -> Any:
        """Lists count, single ones tell."""
        return SubmissionListSerializer if self.action == "list" else SubmissionSerializer

    @extend_schema(
        summary="Send a study",
        request={"multipart/form-data": NewSubmissionSerializer},
        responses={201: SubmissionSerializer},
    )
    @idempotent(recall_submission, is_repeatable=True)
    def create(self, request: Request) -> Response:
        """Take the files, close the submission, and return the verdict on each file.

        The answer is 201 whatever the verdicts are: read `state` and each file's `verdict`.
        Sending the same file again changes nothing. Where a file couldn't be taken by our own
        fault, the answer is 503 and it has no verdict: send all of it again. With `keep_open` the
        submission goes on: send large files to its `uploads/`, and close it at its `close/`.
        """
        given = read_body(request, NewSubmissionSerializer)
        user = signed_in_user(request)
        try:
            choice = choose_department(
                actor=user,
                given=given.validated_data.get("department", ""),
                facts=facts_of_uploads(given.validated_data["files"], given.declared()),
            )
            submission = submit_study(
                actor=user,
                department=choice.department,
                is_routed=choice.is_routed,
                files=[(upload.name, upload) for upload in given.validated_data["files"]],
                declared=given.declared(),
                priority=Priority(given.validated_data["priority"]),
                origin=Origin.API,
                keep_open=given.validated_data["keep_open"],
            )
        except InvalidField as error:
            raise ValidationError({str(error.context["field"]): error.message}) from error
        # As it is now: the database dates what was changed.
        submission.refresh_from_db(fields=["updated_at"])
        body = SubmissionSerializer(submission, context={"request": request}).data
        unlisted = SubmissionFileSerializer(
            submission.unlisted, many=True, context={"request": request}
        )
        body["files"] += unlisted.data
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Close a submission", request=None, responses=SubmissionSerializer)
    @action(detail=True, methods=("post",))
    def close(self, request: Request, pk: UUID) -> Response:
        """Say that every file has come: the studies are whole, and are classified.

        A file of which only a part has come gets the verdict `upload_unfinished`.
        """
        user = signed_in_user(request)
        submission = self.get_object()
        refuse_body(request)
        close_submission(actor=user, submission=submission)
        submission = self.get_queryset().get(pk=pk)
        record_submission_view(user, submission)
        return Response(self.describe(submission))


@extend_schema_view(
    list=extend_schema(summary="Patients, by name"),
    retrieve=extend_schema(summary="A patient"),
)
class PatientViewSet(Searched, ReadOnlyViewSet):
    """Patients with a study in the caller's departments."""

    verb = Verb.PATIENT_VIEW
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.PATIENTS_SEARCHED),
        "search": told_by(Action.PATIENTS_SEARCHED),
        "retrieve": told_by(Action.PATIENT_VIEWED),
    }
    serializer_class = PatientSerializer
    queryset = Patient.objects.none()
    ordering = ("name", "id")
    list_action = search_action = Action.PATIENTS_SEARCHED

    def get_queryset(self) -> QuerySet[Patient]:
        """Those the caller may see."""
        user = signed_in_user(self.request)
        return Patient.objects.visible_to(user).with_counts(user)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one patient."""
        patient = self.get_object()
        record_access(
            action=Action.PATIENT_VIEWED,
            actor=signed_in_user(request),
            target=patient,
            patient_id=patient.pk,
        )
        return Response(self.describe(patient))

    @extend_schema(
        summary="Find patients by ID",
        request=PatientSearchSerializer,
        responses=page_of(PatientSerializer),
    )
    @action(detail=False, methods=["post"])
    def search(self, request: Request) -> Response:
        """Find those of a patient ID, which no address may hold. Noted in the audit trail."""
        return self.search_in(
            self.get_queryset(), by=PatientSearchSerializer, key=("created_at", "id")
        )


@extend_schema_view(
    list=extend_schema(summary="Studies, newest first"),
    retrieve=extend_schema(summary="A study with its series", responses=StudyDetailSerializer),
)
class StudyViewSet(Searched, ReadOnlyViewSet):
    """Studies of the caller's departments."""

    verb = Verb.STUDY_VIEW
    verbs: ClassVar[dict[str, Verb]] = {"destroy": Verb.STUDY_DELETE, "move": Verb.STUDY_MOVE}
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.STUDIES_SEARCHED),
        "search": told_by(Action.STUDIES_SEARCHED),
        "retrieve": told_by(Action.STUDY_VIEWED),
        "destroy": NOTHING,
        "move": NOTHING,
    }
    schema = ReasonedDeletionSchema()
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"list": (404,)}
    serializer_class = StudySerializer
    queryset = Study.objects.none()
    ordering = ("-received_at", "-id")
    list_action = search_action = Action.STUDIES_SEARCHED
    filter_form_class = StudyFilters

    def make_filter_form(self, params: QueryDict) -> StudyFilters:
        """The parameters of somebody who sees some departments."""
        return StudyFilters(params, user=signed_in_user(self.request))

    def get_queryset(self) -> QuerySet[Study]:
        """Those the caller may see."""
        return Study.objects.visible_to(signed_in_user(self.request)).with_listing()

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one study."""
        study = self.get_object()
        actor = signed_in_user(request)
        record_access(action=Action.STUDY_VIEWED, actor=actor, target=study, study=study)
        return Response(self.describe(study))

    def describe(self, row: Study) -> Any:
        """With its series."""
        return StudyDetailSerializer(row).data

    @extend_schema(
        summary="Find studies by accession number or patient ID",
        request=StudySearchSerializer,
        responses=page_of(StudySerializer),
    )
    @action(detail=False, methods=["post"])
    def search(self, request: Request) -> Response:
        """Find those of numbers that no address may hold. Noted in the audit trail."""
        return self.search_in(
            self.get_queryset(), by=StudySearchSerializer, key=("-received_at", "-id")
        )

    @extend_schema(summary="Delete a study", responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take it out of sight, for the reason given; it can be restored for a while."""
        study = self.get_object()
        delete_study(actor=signed_in_user(request), study=study, reason=read_reason(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="Move a study to another department",
        request=MoveSerializer,
        responses=MovedStudySerializer,
    )
    @action(detail=True, methods=("post",))
    def move(self, request: Request, pk: UUID) -> Response:
        """Put it into another department, with its results, reviews and legal holds.

        For reviewers of both departments and for administrators, who name it by its id without
        seeing it. Both departments find the move in the trail.
        """
        user = signed_in_user(request)
        study = get_object_or_404(Study.objects.movable_by(user), pk=pk)
        given = MoveSerializer(data=request.data, department_ids=departments_to_move_to(user))
        given.is_valid(raise_exception=True)
        moved = move_study(actor=user, study=study, **given.validated_data)
        return Response(MovedStudySerializer(moved).data)


@extend_schema_view(
    list=extend_schema(summary="Instances, in order of arrival"),
    retrieve=extend_schema(summary="An instance"),
)
class InstanceViewSet(ReadOnlyViewSet):
    """Stored DICOM objects of the caller's departments."""

    verb = Verb.STUDY_VIEW
    reads: ClassVar[dict[str, Declared]] = {
        "list": told_by(Action.STUDIES_SEARCHED),
        "retrieve": told_by(Action.STUDY_VIEWED),
        "file": told_by(Action.IMAGE_DOWNLOADED),
        "rendered": told_by(Action.IMAGE_VIEWED),
    }
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"rendered": (422,)}
    serializer_class = InstanceSerializer
    queryset = Instance.objects.none()
    ordering = ("created_at", "id")
    list_action = Action.STUDIES_SEARCHED
    filter_form_class = InstanceFilters
    parameters: ClassVar[dict[str, Takes]] = {"rendered": takes(form=FrameForm)}

    def get_queryset(self) -> QuerySet[Instance]:
        """Those the caller may see."""
        rows = Instance.objects.visible_to(signed_in_user(self.request))
        return rows.select_related("series__study")

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return what is known of one instance."""
        instance = self.get_object()
        study = instance.series.study
        actor = signed_in_user(request)
        record_access(action=Action.STUDY_VIEWED, actor=actor, target=study, study=study)
        return Response(self.get_serializer(instance).data)

    @extend_schema(
        summary="The stored DICOM file",
        responses={(200, "application/dicom"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        content_negotiation_class=AnyAccept,
        renderer_classes=(renderers.JSONRenderer,),
    )
    def file(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Return the file as it is stored."""
        user = signed_in_user(request)
        return file_response(user, find_instance(user, pk))

    @extend_schema(
        summary="A frame as a PNG picture",
        parameters=parameters_of(FrameForm),
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        content_negotiation_class=AnyAccept,
        renderer_classes=(renderers.JSONRenderer,),
    )
    def rendered(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Draw one frame, counted from 1, with the given window or else its own."""
        user = signed_in_user(request)
        wanted = read_parameters(request, FrameForm)
        instance = find_instance(user, pk)
        return png_response(user, instance, wanted["frame"], request.query_params)
