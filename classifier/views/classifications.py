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
from accounts.roles import Verb
from classifier.forms import ReviewForm
from classifier.inference import draw_overlay
from classifier.models import Classification, Explanation
from classifier.opinions import opinion_on
from classifier.services.requests import rerun_classification
from classifier.services.reviews import review_classification

UNPROCESSABLE = 422


class ClassificationView(VerbRequiredMixin, View):
    """What the views of one classification share: who may see it, and what is drawn."""

    verb = Verb.STUDY_VIEW

    def classification(self, pk: UUID) -> Classification:
        """Fetch the row, if it is in the person's sight."""
        rows = Classification.objects.visible_to(signed_in_user(self.request)).with_listing()
        return get_object_or_404(rows, pk=pk)

    def context(self, row: Classification, form: ReviewForm | None = None) -> dict[str, Any]:
        """The answer, and the form for whoever may decide on it."""
        user, department = signed_in_user(self.request), row.study.department_id
        may_review = row.is_reviewable and user.has_verb_in(Verb.REVIEW_CREATE, department)
        return {
            "classification": row,
            "opinion": opinion_on(row),
            "form": (form or ReviewForm(classification=row)) if may_review else None,
            "can_rerun": row.can_rerun and user.has_verb_in(Verb.STUDY_RERUN, department),
        }


class StatusView(ClassificationView):
    """The state, polled while it still changes."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the chip; the fragment stops asking once the state is final."""
        row = self.classification(pk)
        return render(request, "classifier/_status.html", {"classification": row, "opinion": None})


class OpinionView(ClassificationView):
    """The answer and the review form."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw them, and record that the person saw the result."""
        row = self.classification(pk)
        record_access(
            action=Action.CLASSIFICATION_VIEWED,
            actor=signed_in_user(request),
            target=row,
            study=row.study,
        )
        return render(request, "classifier/_opinion.html", self.context(row))


class ReviewCreateView(ClassificationView):
    """A person's decision."""

    verb = Verb.REVIEW_CREATE

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Record it and show the answer as it now stands, or say what is wrong."""
        row = self.classification(pk)
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


class OverlayView(ClassificationView):
    """The class activation map of one frame, as a transparent picture of the image's size."""

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
        return HttpResponse(draw_overlay(grid, explanation.instance), content_type="image/png")
