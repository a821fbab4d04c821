"""Home, the worklist and the queue pill."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.generic import TemplateView, View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.filters import FilterForm
from accounts.models import User
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from classifier.choices import ClassificationState
from classifier.forms import WorklistForm
from classifier.models import Classification
from classifier.querysets import REVIEWED_ORDER, WORKLIST_ORDER
from records.accesses import record_list_read
from records.choices import Action as RecordsAction
from records.models import Patient, Study, Submission
from records.views.lists import RecordedListView

QUEUE_STATES = (
    ClassificationState.QUEUED,
    ClassificationState.RUNNING,
    ClassificationState.AWAITING_REVIEW,
    ClassificationState.FAILED,
    ClassificationState.ABSTAINED,
)


def queue_counts(user: User) -> dict[str, int]:
    """How many classifications of the person's departments stand where."""
    counts = Classification.objects.visible_to(user).counts_by_state(QUEUE_STATES)
    return {state: counts.get(state, 0) for state in QUEUE_STATES}


HOME_WITHOUT_STUDIES = (
    (Verb.ACCOUNT_MANAGE, "accounts:user-list"),
    (Verb.AUDIT_VIEW, "accounts:audit-list"),
    (Verb.MODEL_VIEW, "classifier:model-list"),
)
"""Where people start whose roles look at no studies: the first that their role allows."""


class HomeView(TemplateView):
    """Where the day starts: the queue, the latest results, what one sent oneself."""

    reads = told_by(RecordsAction.STUDIES_SEARCHED)
    template_name = "home.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Send those who look at no studies to what they do look at."""
        user = signed_in_user(request)
        if not user.has_verb(Verb.STUDY_VIEW):
            pages = [page for verb, page in HOME_WITHOUT_STUDIES if user.has_verb(verb)]
            return redirect(pages[0] if pages else "accounts:profile")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Show only what the person's role may see."""
        user = signed_in_user(self.request)
        recent = Classification.objects.visible_to(user).current().with_listing()
        shown = list(recent.order_by("-queued_at", "-id")[:8])
        own = Submission.objects.visible_to(user).filter(created_by=user).with_counts()
        submissions = own.select_related("department")[:5]
        sent = Study.objects.visible_to(user).by_submission(submissions)
        rows = [*shown, *(study for studies in sent.values() for study in studies)]
        record_list_read(actor=user, action=RecordsAction.STUDIES_SEARCHED, place="home", rows=rows)
        return super().get_context_data(
            queue=queue_counts(user),
            recent=shown,
            my_submissions=[(batch, _patients_of(sent[batch.pk])) for batch in submissions],
            **kwargs,
        )


def _patients_of(studies: Sequence[Study]) -> list[Patient]:
    """Whom studies are of, each person once."""
    return list({study.patient_id: study.patient for study in studies}.values())


class QueuePillView(VerbRequiredMixin, View):
    """The fragment in the top bar that says how busy the queue is."""

    verb = Verb.QUEUE_VIEW
    reads = NOTHING

    def get(self, request: HttpRequest) -> HttpResponse:
        """Count and draw."""
        return render(
            request, "classifier/_queue_pill.html", {"queue": queue_counts(signed_in_user(request))}
        )


class WorklistView(RecordedListView):
    """Studies that wait for somebody, the most urgent and oldest first; or those decided on."""

    verb = Verb.STUDY_VIEW
    reads = told_by(RecordsAction.STUDIES_SEARCHED)
    filter_form_class = WorklistForm
    template_name = "classifier/worklist.html"
    rows_template_name = "classifier/_worklist_rows.html"
    rows_name = "classifications"
    list_action = RecordsAction.STUDIES_SEARCHED
    place = "worklist"
    key: tuple[str, ...] = WORKLIST_ORDER

    def make_filter_form(self, params: QueryDict | None) -> WorklistForm:
        """Offer the departments that the person may see."""
        departments = signed_in_user(self.request).departments_for(self.verb)
        form = WorklistForm(params, departments=departments)
        if form.is_of_reviewed:
            self.key = REVIEWED_ORDER
        return form

    def find_rows(self) -> QuerySet[Classification]:
        """The present answers that the person may see."""
        rows = Classification.objects.visible_to(signed_in_user(self.request)).current()
        return rows.with_listing()

    def more_context(self, form: FilterForm, rows: QuerySet[Any]) -> dict[str, Any]:
        """The state of the queue stands above the list."""
        return {"queue": queue_counts(signed_in_user(self.request))}
