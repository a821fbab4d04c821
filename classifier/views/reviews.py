"""A person's decision on an answer: kept while it is written, and signed once."""

import json
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.access import signed_in_user
from accounts.errors import KnownError
from accounts.parameters import takes
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from classifier.choices import Action
from classifier.errors import NotReviewable
from classifier.forms import DraftForm, ReviewForm
from classifier.models import Classification
from classifier.services.drafts import save_draft
from classifier.services.reviews import is_repeated, review_classification
from classifier.views.classifications import ClassificationView

CHANGED = json.dumps({"study:changed": {}})
"""Said to the page with an answer after which the rest of it is out of date."""


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
            except NotReviewable as error:
                return self.refuse(request, self.classification(pk), form, error)
            except KnownError as error:
                form.add_error(None, f"{error.message} {error.action}")
        if form.errors:
            context = self.context(row, form)
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return render(request, "classifier/_status.html", context, status=status)
        return self.draw_anew(request, self.classification(pk), {"signed_now": True})

    def refuse(
        self, request: HttpRequest, row: Classification, form: ReviewForm, error: NotReviewable
    ) -> HttpResponse:
        """Say who decided before, and give back what this person had written.

        The same decision sent twice by one person is no second decision.
        """
        user, entered = signed_in_user(request), form.cleaned_data
        if is_repeated(actor=user, classification=row, **entered):
            return self.draw_anew(request, row, {"signed_now": True})
        with suppress(KnownError):  # The text is given back in any case.
            save_draft(actor=user, classification=row, **entered)
        told = {"refusal": error.message, "unsigned": form.words_of(entered)}
        return self.draw_anew(request, row, told, HTTPStatus.CONFLICT)

    def draw_anew(
        self,
        request: HttpRequest,
        row: Classification,
        told: dict[str, Any],
        status: HTTPStatus = HTTPStatus.OK,
    ) -> HttpResponse:
        """Draw the whole panel, and let the page know that the rest of it is out of date."""
        context = self.context(row) | told
        response = render(request, "classifier/_status.html", context, status=status)
        response["HX-Trigger-After-Swap"] = CHANGED
        return response


class ReviewDraftView(ClassificationView):
    """What a person has entered so far, sent while it is being entered."""

    verb = Verb.REVIEW_CREATE
    posted = takes(form=DraftForm)
    reads = NOTHING

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Keep it, and say since when; a blank form takes away what was kept."""
        row = self.classification(pk)
        form = DraftForm(request.POST, classification=row)
        if not form.is_valid():
            return HttpResponse(status=HTTPStatus.UNPROCESSABLE_ENTITY)
        try:
            draft = save_draft(
                actor=signed_in_user(request), classification=row, **form.cleaned_data
            )
        except KnownError as error:
            return HttpResponse(status=error.status)
        context = {"draft": None if draft is None or draft.is_blank else draft}
        return render(request, "classifier/_draft_time.html", context)
