"""The list of studies, and one study with its images."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.models import User
from accounts.reads import told_by
from accounts.roles import Verb
from records.choices import Action
from records.forms import StudyFilterForm
from records.models import IdentityConflict, Instance, Series, Study
from records.timeline import timeline_of
from records.views.lists import RecordedListView

PRIORS_SHOWN = 10
EXCLUDED_SHOWN = 20


class StudyListView(RecordedListView):
    """The studies of the person's departments, newest first."""

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.STUDIES_SEARCHED)
    filter_form_class = StudyFilterForm
    template_name = "records/study_list.html"
    rows_template_name = "records/_study_rows.html"
    rows_name = "studies"
    list_action = Action.STUDIES_SEARCHED
    place = "study-list"
    key = ("-received_at", "-id")

    def make_filter_form(self, params: QueryDict | None) -> StudyFilterForm:
        """Offer the departments that the person may see."""
        departments = signed_in_user(self.request).departments_for(Verb.STUDY_VIEW)
        return StudyFilterForm(params, departments=departments)

    def find_rows(self) -> QuerySet[Study]:
        """What the person may see."""
        return Study.objects.visible_to(signed_in_user(self.request)).with_listing()


class StudyDetailView(VerbRequiredMixin, View):
    """One study: its series, its images, the patient's other studies, its history."""

    verb = Verb.STUDY_VIEW
    reads = told_by(Action.STUDY_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the page."""
        user = signed_in_user(request)
        visible = Study.objects.visible_to(user)
        study = get_object_or_404(visible.with_listing().with_holds(), pk=pk)
        record_access(action=Action.STUDY_VIEWED, actor=user, target=study, study=study)
        instances = list(Instance.objects.of_study(study))
        priors = visible.of_person(study.patient).exclude(pk=study.pk)
        context = {
            "study": study,
            "series_list": Series.objects.filter(study=study).with_counts(),
            "conflicts": _open_conflicts(user, study),
            "priors": priors.with_listing()[:PRIORS_SHOWN],
            "timeline": timeline_of(study),
            "excluded": [row for row in instances if row.exclusion][:EXCLUDED_SHOWN],
            "damaged": [row for row in instances if row.damage],
            "may_delete": user.has_verb_in(Verb.STUDY_DELETE, study.department_id),
            "may_move": _may_move(user, study),
            "viewer": _viewer_of(instances),
        }
        return render(request, "records/study_detail.html", context)


def _may_move(user: User, study: Study) -> bool:
    """Tell whether there is another department to which the person may move the study."""
    places = user.department_ids_for(Verb.STUDY_MOVE)
    return study.department_id in places and len(places) > 1


def _open_conflicts(user: User, study: Study) -> QuerySet[IdentityConflict]:
    """What the person may decide about whose the study is."""
    visible = IdentityConflict.objects.visible_to(user)
    return visible.open().about_study(study) if study.is_in_question else visible.none()


def _viewer_of(instances: Iterable[Instance]) -> dict[str, Any]:
    """What the viewer needs: for each series its slices in reading order."""
    images = [instance for instance in instances if instance.is_image]
    grouped = groupby(images, key=lambda instance: instance.series)
    series = [
        {
            "id": str(one.pk),
            "label": _label_of(one),
            "slices": [part for instance in members for part in _slices_of(instance)],
        }
        for one, members in grouped
    ]
    return {"series": series, "start": {"series": series[0]["id"], "slice": 0} if series else None}


def _label_of(series: Series) -> str:
    number = str(series.series_number) if series.series_number is not None else ""
    return " · ".join(part for part in (number, series.title) if part) or "Series"


def _slices_of(instance: Instance) -> list[dict[str, Any]]:
    number = "" if instance.instance_number is None else str(instance.instance_number)
    return [
        {
            "instance": str(instance.pk),
            "frame": frame,
            "number": number if instance.number_of_frames == 1 else f"{number}/{frame}".strip("/"),
            "center": instance.window_center,
            "width": instance.window_width,
            "colour": instance.is_colour,
        }
        for frame in range(1, instance.number_of_frames + 1)
    ]
