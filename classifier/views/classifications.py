"""The fragments of the study page that show an answer and take a decision."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.generic import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.errors import KnownError
from accounts.models import Action
from accounts.parameters import takes
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from classifier.forms import ReviewForm, TaskForm
from classifier.inference import draw_overlay
from classifier.models import Abstention, Classification, Explanation
from classifier.models.classifications import CHOSEN_SENTENCE
from classifier.opinions import opinion_on
from classifier.routing import tasks_to_state
from classifier.services.requests import rerun_classification, state_task
from classifier.services.reviews import review_classification
from records.models import Patient
from records.views.images import record_picture

UNPROCESSABLE = 422
RESULTS_SHOWN = 200
NOT_ROUTED = (Abstention.ROUTE_UNSURE, Abstention.NO_TASK, Abstention.ROUTED_ELSEWHERE)


class ClassificationView(VerbRequiredMixin, View):
    """What the views of one classification share: who may see it, and what is drawn."""

    verb = Verb.STUDY_VIEW

    def classification(self, pk: UUID) -> Classification:
        """Fetch the row, if it is in the person's sight."""
        rows = Classification.objects.visible_to(signed_in_user(self.request)).with_listing()
        return get_object_or_404(rows, pk=pk)

    def record_view(self, row: Classification) -> None:
        """Note that the person saw whose the study is, and what was said of it."""
        record_access(
            action=Action.CLASSIFICATION_VIEWED,
            actor=signed_in_user(self.request),
            target=row,
            study=row.study,
        )

    def context(self, row: Classification, form: ReviewForm | None = None) -> dict[str, Any]:
        """The answer, and the form for whoever may decide on it."""
        user, department = signed_in_user(self.request), row.study.department_id
        may_review = row.is_reviewable and user.has_verb_in(Verb.REVIEW_CREATE, department)
        can_rerun = row.can_rerun and user.has_verb_in(Verb.STUDY_RERUN, department)
        return {
            "classification": row,
            "opinion": opinion_on(row),
            "chosen_sentence": CHOSEN_SENTENCE,
            "form": (form or ReviewForm(classification=row)) if may_review else None,
            "can_rerun": can_rerun,
            "task_form": self.task_form(row) if can_rerun else None,
        }

    def task_form(self, row: Classification) -> TaskForm | None:
        """The form that says what the images show, where no header does."""
        tasks = tasks_to_state(row.study) if row.abstention in NOT_ROUTED else []
        return TaskForm(tasks=tasks, auto_id=f"id_{row.pk}_%s") if tasks else None


class StatusView(ClassificationView):
    """The state, polled while it still changes."""

    parameters = takes("as")
    reads = told_by(Action.CLASSIFICATION_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the chip; the fragment stops asking once the state is final."""
        row = self.classification(pk)
        self.record_view(row)
        return render(request, "classifier/_status.html", {"classification": row, "opinion": None})


class OpinionView(ClassificationView):
    """The answer and the review form."""

    reads = told_by(Action.CLASSIFICATION_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw them, and record that the person saw the result."""
        row = self.classification(pk)
        self.record_view(row)
        return render(request, "classifier/_opinion.html", self.context(row))


class ReviewCreateView(ClassificationView):
    """A person's decision."""

    verb = Verb.REVIEW_CREATE
    posted = takes(form=ReviewForm)
    reads = told_by(Action.CLASSIFICATION_VIEWED)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Record it and show the answer as it now stands, or say what is wrong."""
        row = self.classification(pk)
        self.record_view(row)
        form = ReviewForm(request.POST, classification=row)
        if form.is_valid():
            try:
                review_classification(
                    actor=signed_in_user(request), classification=row, **form.cleaned_data
                )
            except KnownError as error:
                form.add_error(None, f"{error.message} {error.action}")
        status = UNPROCESSABLE if form.errors else 200
        context = self.context(self.classification(pk), form if form.errors else None)
        return render(request, "classifier/_status.html", context, status=status)


class RerunView(ClassificationView):
    """Run it again."""

    verb = Verb.STUDY_RERUN
    reads = NOTHING

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Queue a new run and return to the study."""
        row = self.classification(pk)
        try:
            rerun_classification(actor=signed_in_user(request), classification=row)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        else:
            messages.success(request, "Queued again. The earlier result is kept as superseded.")
        return redirect(row.study)


class TaskStateView(ClassificationView):
    """What the images show, said by a person where their header is silent."""

    posted = takes("task")
    verb = Verb.STUDY_RERUN
    reads = NOTHING

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Note it, classify anew and return to the study."""
        row = self.classification(pk)
        try:
            state_task(
                actor=signed_in_user(request),
                classification=row,
                task=request.POST.get("task", ""),
            )
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        else:
            messages.success(request, "Noted. The study is being classified.")
        return redirect(row.study)


class PatientResultsView(VerbRequiredMixin, View):
    """The current results of one patient's studies: a part of the patient's page."""

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.PATIENT_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw those that the person may see."""
        user = signed_in_user(request)
        patient = get_object_or_404(Patient.objects.visible_to(user), pk=pk)
        record_access(
            action=Action.PATIENT_VIEWED, actor=user, target=patient, patient_id=patient.pk
        )
        rows = Classification.objects.visible_to(user).filter(study__patient=patient)
        context = {"classifications": rows.current().with_listing()[:RESULTS_SHOWN]}
        return render(request, "classifier/_patient_results.html", context)


class OverlayView(ClassificationView):
    """The class activation map of one frame, as a transparent picture of the image's size."""

    reads = told_by(Action.IMAGE_VIEWED)
    parameters = takes("label")

    def get(self, request: HttpRequest, pk: UUID, instance_pk: UUID, frame: int) -> HttpResponse:
        """Draw the map of `?label=`, by default of the label given."""
        row = self.classification(pk)
        explanation = get_object_or_404(
            Explanation.objects.select_related("instance"),
            classification=row,
            instance_id=instance_pk,
            frame=frame,
        )
        label = request.GET.get("label") or row.label
        grid = explanation.activation_maps.get(label)
        if grid is None:
            raise Http404
        picture = draw_overlay(grid, explanation.instance)
        record_picture(signed_in_user(request), picture, row.study)
        return HttpResponse(picture, content_type="image/png")
