"""What happened to one study: the part of its page that is drawn anew after each change."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.reads import told_by
from accounts.roles import Verb
from records.choices import Action
from records.models import Study
from records.timeline import timeline_of


class StudyTimelineView(VerbRequiredMixin, View):
    """The lines alone, for the page that asks again."""

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.STUDY_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw them as they are now."""
        user = signed_in_user(request)
        study = get_object_or_404(Study.objects.visible_to(user), pk=pk)
        record_access(action=Action.STUDY_VIEWED, actor=user, target=study, study=study)
        context = {"study": study, "timeline": timeline_of(study)}
        return render(request, "records/_timeline.html", context)
