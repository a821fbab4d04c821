"""The fragments of the study page that show an answer and take a decision."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.generic import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.errors import KnownError
from accounts.parameters import takes
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from classifier.choices import Abstention, Action
from classifier.forms import ReviewForm, TaskForm
from classifier.inference import draw_overlay
from classifier.models import Classification, Explanation, ReviewDraft
from classifier.models.classifications import CHOSEN_SENTENCE
from classifier.opinions import first_mapped, opinion_on
from classifier.routing import tasks_to_state
from classifier.services.requests import rerun_classification, state_task
from records.accesses import record_picture
from records.choices import Action as RecordsAction
from records.responses import PRIVATE, refusal_response

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
        draft = ReviewDraft.objects.of(user, row)
        initial = draft.answers if draft else None
        form = form or ReviewForm(initial=initial, classification=row)
        return {
            "classification": row,
            "opinion": opinion_on(row),
            "chosen_sentence": CHOSEN_SENTENCE,
            "draft": draft,
            "unsigned": None if draft is None or may_review else form.words_of(draft.answers),
            "form": form if may_review else None,
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


class OverlayView(ClassificationView):
    """The map of one finding on one frame, as a transparent picture over the whole image.

    The header Map-Words says in percent-encoded UTF-8 what it shows; it is for the page's caption.
    """

    reads = told_by(RecordsAction.IMAGE_VIEWED)
    parameters = takes("label")

    def get(self, request: HttpRequest, pk: UUID, instance_pk: UUID, frame: int) -> HttpResponse:
        """Draw the map of `?label=`, by default of the finding that the page offers first."""
        row = self.classification(pk)
        kept = Explanation.objects.select_related("instance", "classification__model_version")
        explanation = get_object_or_404(
            kept, classification=row, instance_id=instance_pk, frame=frame
        )
        try:
            overlay = draw_overlay(explanation, request.GET.get("label") or first_mapped(row))
        except KnownError as error:
            return refusal_response(error)
        if overlay is None:
            raise Http404
        record_picture(signed_in_user(request), overlay.picture, row.study)
        headers = {"Map-Words": quote(overlay.words), "Cache-Control": PRIVATE}
        return HttpResponse(overlay.picture, content_type="image/png", headers=headers)
