"""The upload page, and what its uploader talks to in JSON."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.roles import Verb
from records.errors import InvalidField, RequestTooLarge
from records.forms import SubmitForm
from records.intake.storage import check_room
from records.models import (
    Origin,
    Priority,
    Study,
    Submission,
    SubmissionFile,
    SubmissionState,
    Verdict,
)
from records.services import close_submission, open_submission, receive_file

ACCEPTED_FORMATS = "DICOM, PNG or JPEG; a whole series may come as one ZIP"
# The fields and boundaries around the one file of a request.
REQUEST_OVERHEAD_BYTES = 1024 * 1024


class SubmitView(VerbRequiredMixin, View):
    """The page with the drop zone."""

    verb = Verb.STUDY_SUBMIT

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw the form, and offer to go on with what was left open."""
        user = signed_in_user(request)
        departments = user.departments_for(Verb.STUDY_SUBMIT)
        latest = Submission.objects.filter(created_by=user, department__in=departments).first()
        context = {
            "form": SubmitForm(
                departments=departments, last_used=latest.department if latest else None
            ),
            "open_submissions": Submission.objects.filter(
                created_by=user, state=SubmissionState.RECEIVING
            ).select_related("department")[:10],
            "accepted_formats": ACCEPTED_FORMATS,
            "max_upload_bytes": settings.INTAKE_MAX_FILE_BYTES,
        }
        return render(request, "records/submit.html", context)


class UploaderView(VerbRequiredMixin, View):
    """What the uploader talks to: a known error is answered as JSON."""

    verb = Verb.STUDY_SUBMIT

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer known errors with their code, sentence and remedy."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except KnownError as error:
            waiting = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
            return JsonResponse(
                {"code": error.code, "message": error.message, "action": error.action},
                status=error.status,
                headers=waiting,
            )


class SubmissionCreateView(UploaderView):
    """Start a batch."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Open it, or say which fields are wrong."""
        user = signed_in_user(request)
        form = SubmitForm(request.POST, departments=user.departments_for(Verb.STUDY_SUBMIT))
        if not form.is_valid():
            return JsonResponse({"errors": form.errors}, status=400)
        try:
            submission = open_submission(
                actor=user,
                department=form.cleaned_data["department"],
                origin=Origin.WEB,
                priority=Priority(form.cleaned_data["priority"]),
                declared=form.declared(),
            )
        except InvalidField as error:
            return JsonResponse(
                {"errors": {error.context["field"]: [error.message]}}, status=error.status
            )
        return JsonResponse({"id": str(submission.pk), **_addresses(submission)}, status=201)


class SubmissionFileCreateView(UploaderView):
    """Take one file into a batch."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return the verdicts: one, or one for each file of an archive."""
        user = signed_in_user(request)
        submission = get_object_or_404(Submission.objects.visible_to(user), pk=pk)
        _check_length(request)
        upload = request.FILES.get("file")
        if not isinstance(upload, UploadedFile):
            raise InvalidField(field="file", label="File", problem="no file came with the request.")
        check_room(upload.size or 0)
        files = receive_file(
            actor=user, submission=submission, name=upload.name or "", stream=upload
        )
        is_clean = all(file.verdict != Verdict.REJECTED for file in files)
        answer = {"files": [_verdict(file) for file in files]}
        return JsonResponse(answer, status=200 if is_clean else 207)


class SubmissionCloseView(UploaderView):
    """End a batch."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Close it, and name the studies that it added to."""
        user = signed_in_user(request)
        submission = get_object_or_404(Submission.objects.visible_to(user), pk=pk)
        submission = close_submission(actor=user, submission=submission)
        return JsonResponse(
            {
                "state": submission.state,
                "url": submission.get_absolute_url(),
                "studies": [
                    {"url": study.get_absolute_url(), "description": study.title}
                    for study in _studies_of(submission)
                ],
            }
        )


class SubmissionDetailView(VerbRequiredMixin, View):
    """One batch with the verdict on every file; while it is open, more can be added."""

    verb = Verb.STUDY_SUBMIT

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the page."""
        user = signed_in_user(request)
        batches = Submission.objects.visible_to(user).select_related("department", "created_by")
        submission = get_object_or_404(batches, pk=pk)
        context = {
            "submission": submission,
            "files": submission.files.with_targets(),
            "studies": _studies_of(submission).visible_to(user).with_listing(),
        }
        if submission.state == SubmissionState.RECEIVING:
            context |= _addresses(submission)
        return render(request, "records/submission_detail.html", context)


def _studies_of(submission: Submission) -> Any:
    return (
        Study.objects.kept().filter(pk__in=submission.files.values("study")).order_by("received_at")
    )


def _addresses(submission: Submission) -> dict[str, str]:
    return {
        "upload_url": reverse("records:submission-file-create", args=[submission.pk]),
        "close_url": reverse("records:submission-close", args=[submission.pk]),
        "url": submission.get_absolute_url(),
    }


def _verdict(file: SubmissionFile) -> dict[str, str | None]:
    return {
        "name": file.name,
        "verdict": file.verdict,
        "code": file.code,
        "message": file.message,
        "action": file.action,
        "study_url": file.study.get_absolute_url() if file.study else None,
    }


def _check_length(request: HttpRequest) -> None:
    """Refuse before reading what can't be accepted anyway."""
    length = request.headers.get("Content-Length", "")
    limit = settings.INTAKE_MAX_FILE_BYTES
    if length.isdigit() and int(length) > limit + REQUEST_OVERHEAD_BYTES:
        raise RequestTooLarge(limit=filesizeformat(limit))
