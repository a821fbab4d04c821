"""The upload page, and what its uploader talks to in JSON."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.models import User
from accounts.parameters import takes
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from records.accesses import record_list_read, record_submission_view
from records.choices import Action, Origin, Priority, SubmissionState, Verdict
from records.errors import DepartmentRequired, InvalidField
from records.facts import facts_of_uploads
from records.forms import SubmitForm
from records.models import Study, Submission
from records.services import (
    DeclaredFields,
    DepartmentChoice,
    choose_department,
    close_submission,
    open_submission,
)
from records.services.department_rules import rules_for
from records.services.lookup import who_is

ACCEPTED_FORMATS = "DICOM, PNG, JPEG, WebP or TIFF; a whole series may come as one ZIP"
# Stands for the id that a verdict brings.
NO_STUDY = UUID(int=0)
REJECTED_NAMED = 100
MENDABLE = (SubmissionState.PARTLY_STORED, SubmissionState.REJECTED)


class SubmitView(VerbRequiredMixin, View):
    """The page with the drop zone."""

    verb = Verb.STUDY_SUBMIT
    reads = NOTHING

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw the form, and offer to go on with what was left open."""
        user = signed_in_user(request)
        departments = user.departments_for(Verb.STUDY_SUBMIT)
        here = Submission.objects.filter(created_by=user, origin=Origin.WEB)
        latest = here.filter(department__in=departments).first()
        form = SubmitForm(
            departments=departments,
            last_used=latest.department if latest else None,
            has_rules=rules_for(user).exists(),
        )
        open_submissions = Submission.objects.visible_to(user).filter(
            created_by=user, state=SubmissionState.RECEIVING
        )
        context = {
            "form": form,
            "open_submissions": open_submissions.select_related("department")[:10],
            **_uploader_context(),
        }
        return render(request, "records/submit.html", context)


class SubmitAgainView(VerbRequiredMixin, View):
    """The same page with what was declared for an earlier batch, to be mended and sent again."""

    verb = Verb.STUDY_SUBMIT
    reads = told_by(Action.SUBMISSION_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the form filled in, and name what was rejected."""
        user = signed_in_user(request)
        submission = get_object_or_404(Submission.objects.visible_to(user), pk=pk)
        record_submission_view(user, submission)
        form = SubmitForm(
            departments=user.departments_for(Verb.STUDY_SUBMIT),
            last_used=submission.department,
            initial=DeclaredFields.from_json(submission.declared).as_json(),
        )
        rejected = submission.files.filter(verdict=Verdict.REJECTED)[:REJECTED_NAMED]
        context = {
            "form": form,
            "again": submission,
            "rejected": [file.as_told_to(user) for file in rejected],
            **_uploader_context(),
        }
        return render(request, "records/submit.html", context)


class KnownPatientsView(VerbRequiredMixin, View):
    """Who is known under a patient ID, told while it is typed."""

    verb = Verb.PATIENT_VIEW
    reads = told_by(Action.PATIENTS_SEARCHED)
    posted = takes(form=SubmitForm)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Draw them: of the department that is chosen, else of all that the person sees."""
        user = signed_in_user(request)
        departments = user.departments_for(Verb.PATIENT_VIEW)
        form = SubmitForm(request.POST, departments=departments, has_rules=True)
        form.is_valid()
        declared = form.declared() if "patient_id" in form.cleaned_data else DeclaredFields()
        department = form.cleaned_data.get("department")
        try:
            known = who_is(
                actor=user,
                declared=declared,
                department_id=department.pk if department else None,
            )
        except InvalidField:
            known = []
        rows = [each.patient for each in known]
        record_list_read(
            actor=user,
            action=Action.PATIENTS_SEARCHED,
            place="submit",
            rows=rows,
            searched=[declared.patient_id],
        )
        context = {"known": known, "patient_id": declared.patient_id, "department": department}
        return render(request, "records/_known_patients.html", context)


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

    reads = NOTHING
    posted = takes("first", form=SubmitForm)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Open it, or say which fields are wrong."""
        user = signed_in_user(request)
        form = SubmitForm(
            request.POST,
            departments=user.departments_for(Verb.STUDY_SUBMIT),
            has_rules=rules_for(user).exists(),
        )
        if not form.is_valid():
            return JsonResponse({"errors": form.errors}, status=400)
        try:
            choice = self.choose(user, form)
            submission = open_submission(
                actor=user,
                department=choice.department,
                origin=Origin.WEB,
                priority=Priority(form.cleaned_data["priority"]),
                declared=form.declared(),
                is_routed=choice.is_routed,
            )
        except DepartmentRequired:
            words = "No rule says where this goes. Choose the department."
            return JsonResponse({"errors": {"department": [words]}}, status=400)
        except InvalidField as error:
            return JsonResponse(
                {"errors": {error.context["field"]: [error.message]}}, status=error.status
            )
        return JsonResponse({"id": str(submission.pk), **_addresses(submission)}, status=201)

    def choose(self, user: User, form: SubmitForm) -> DepartmentChoice:
        """The department that was chosen, or the one to which the rules send the first file.

        The page sends the beginning of that file; raises DepartmentRequired.
        """
        department = form.cleaned_data["department"]
        return choose_department(
            actor=user,
            given=str(department.pk) if department else "",
            facts=facts_of_uploads(self.request.FILES.getlist("first"), form.declared()),
        )


class SubmissionCloseView(UploaderView):
    """End a batch."""

    reads = told_by(Action.SUBMISSION_VIEWED)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Close it, and name the studies that it added to."""
        user = signed_in_user(request)
        submission = get_object_or_404(Submission.objects.visible_to(user), pk=pk)
        submission = close_submission(actor=user, submission=submission)
        record_submission_view(user, submission)
        return JsonResponse(
            {
                "state": submission.state,
                "url": submission.get_absolute_url(),
                "chip": render_to_string(
                    "records/_submission_chip.html", {"state": submission.state}
                ),
                "files": submission.files.total_count(),
                "rejected": submission.files.rejected_count(),
                "studies": [
                    {
                        "url": study.get_absolute_url(),
                        "description": study.title,
                        "patient": study.patient.display_name,
                        "patient_id": study.patient.mrn,
                    }
                    for study in _studies_of(submission).visible_to(user).with_listing()
                ],
            }
        )


class SubmissionDetailView(VerbRequiredMixin, View):
    """One batch with the verdict on every file; while it is open, more can be added."""

    verb = Verb.STUDY_SUBMIT
    reads = told_by(Action.SUBMISSION_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the page."""
        user = signed_in_user(request)
        batches = Submission.objects.visible_to(user).select_related("department", "created_by")
        submission = get_object_or_404(batches, pk=pk)
        record_submission_view(user, submission)
        context = {
            "submission": submission,
            "files": [file.as_told_to(user) for file in submission.files.with_targets()],
            "studies": _studies_of(submission).visible_to(user).with_listing(),
            "may_mend": submission.state in MENDABLE and submission.created_by_id == user.pk,
        }
        if submission.state == SubmissionState.RECEIVING:
            context |= _addresses(submission) | _unfinished(submission, user) | _uploader_context()
        return render(request, "records/submission_detail.html", context)


def _studies_of(submission: Submission) -> Any:
    return (
        Study.objects.kept().filter(pk__in=submission.files.values("study")).order_by("received_at")
    )


def _addresses(submission: Submission) -> dict[str, str]:
    return {
        "upload_url": reverse("api-submission-upload-list", args=[submission.pk]),
        "close_url": reverse("records:submission-close", args=[submission.pk]),
        "url": submission.get_absolute_url(),
    }


def _uploader_context() -> dict[str, Any]:
    return {
        "accepted_formats": ACCEPTED_FORMATS,
        "max_upload_bytes": settings.INTAKE_MAX_FILE_BYTES,
        "study_url": reverse("records:study-detail", args=[NO_STUDY]),
    }


def _unfinished(submission: Submission, user: User) -> dict[str, Any]:
    """What came only in part: in words for the person, and by address for the uploader."""
    uploads = submission.uploads.visible_to(user).receiving()
    return {
        "unfinished": uploads,
        "unfinished_addresses": [
            {
                "fingerprint": upload.fingerprint,
                "url": reverse("api-submission-upload-detail", args=[submission.pk, upload.pk]),
                "offset": upload.offset,
                "size": upload.size_bytes,
            }
            for upload in uploads
        ],
    }
