"""De-identified copies: asking for one, looking at what is held back, taking it away."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.errors import KnownError
from accounts.forms import as_validation_error
from accounts.parameters import takes
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from records.accesses import record_export_view
from records.choices import Action, ExportState
from records.dicom.deidentification import Rectangle
from records.errors import ExportHoldUnknown, RegionUnreadable
from records.forms import ClearanceForm, ExportFilterForm, ExportForm
from records.models import Export, ExportHold, Study
from records.responses import (
    export_response,
    find_export,
    find_hold,
    hold_response,
    refusal_response,
)
from records.services import clear_export, request_export
from records.views.lists import RecordedListView

EXPORTS_SHOWN = 10
HOLDS_SHOWN = 24


class ExportView(VerbRequiredMixin, View):
    """What all pages of exports ask for."""

    verb = Verb.STUDY_EXPORT


class ExportListView(RecordedListView):
    """The copies of the person's departments, newest first. Names no patient."""

    verb = Verb.STUDY_EXPORT
    reads = told_by(Action.EXPORTS_LISTED)
    filter_form_class = ExportFilterForm
    template_name = "records/export_list.html"
    rows_template_name = "records/_export_rows.html"
    rows_name = "exports"
    list_action = Action.EXPORTS_LISTED
    place = "export-list"
    key = ("-requested_at", "-id")

    def find_rows(self) -> QuerySet[Export]:
        """What the person may see."""
        return Export.objects.visible_to(signed_in_user(self.request)).with_listing()


class StudyExportView(ExportView):
    """The form that asks for a copy of one study, and the copies that there are."""

    reads = told_by(Action.STUDY_VIEWED)
    posted = takes(form=ExportForm)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the form."""
        return self._page(request, self._study(request, pk), ExportForm())

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for the copy, and go to where it is followed."""
        study, form = self._study(request, pk), ExportForm(request.POST)
        if form.is_valid():
            try:
                export = request_export(
                    actor=signed_in_user(request),
                    studies=[study],
                    project=form.cleaned_data["project"],
                    purpose=form.cleaned_data["purpose"],
                    options=form.options(),
                )
            except KnownError as error:
                form.add_error(None, as_validation_error(error))
            else:
                return redirect(export)
        return self._page(request, study, form)

    def _study(self, request: HttpRequest, pk: UUID) -> Study:
        user = signed_in_user(request)
        exportable = Study.objects.exportable_by(user).with_listing()
        study = get_object_or_404(exportable, pk=pk)
        record_access(action=Action.STUDY_VIEWED, actor=user, target=study, study=study)
        return study

    def _page(self, request: HttpRequest, study: Study, form: ExportForm) -> HttpResponse:
        visible = Export.objects.visible_to(signed_in_user(request))
        exports = visible.of_study(study).select_related("requested_by")[:EXPORTS_SHOWN]
        context = {"study": study, "form": form, "exports": exports}
        return render(request, "records/export_form.html", context)


class ExportDetailView(ExportView):
    """How far a copy has come, and the images that somebody must look at."""

    reads = told_by(Action.EXPORT_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the page."""
        user = signed_in_user(request)
        export = find_export(user, pk)
        record_export_view(user, export)
        return render(request, "records/export_detail.html", export_context(export))


class ExportHoldPngView(ExportView):
    """A frame of an image held back, for the person who has to decide about it."""

    reads = told_by(Action.IMAGE_VIEWED)
    parameters = takes("frame")

    def get(self, request: HttpRequest, pk: UUID, hold_pk: UUID) -> HttpResponse:
        """Draw it, and note that this person has seen it; else say why in plain words."""
        user = signed_in_user(request)
        hold = find_hold(find_export(user, pk), hold_pk)
        try:
            return hold_response(request, user, hold)
        except KnownError as error:
            return refusal_response(error)


class ExportClearView(ExportView):
    """Takes what a person saw: in one image, or in all that the page shows."""

    reads = NOTHING
    posted = takes(repeatable=("clean", "blacken"), ending="-regions")
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Record it, and go back to the page."""
        user = signed_in_user(request)
        export = find_export(user, pk)
        try:
            decisions = read_decisions(export, request.POST)
            clear_export(actor=user, export=export, decisions=decisions)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        return redirect(export)


class ExportFileView(ExportView):
    """The copy itself."""

    reads = told_by(Action.STUDY_EXPORTED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Stream it, or say why there is none."""
        user = signed_in_user(request)
        try:
            return export_response(user, find_export(user, pk))
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("records:export-detail", pk)


def export_context(export: Export) -> dict[str, Any]:
    """What the page of an export shows: the images to look at, a screenful at a time."""
    waiting = export.holds.filter(decided_at=None).select_related("instance")
    is_held = export.state == ExportState.HELD
    shown = list(waiting[:HOLDS_SHOWN]) if is_held else []
    return {
        "export": export,
        "holds": [(hold, clearance_form(hold)) for hold in shown],
        "waiting_count": waiting.count() if is_held else 0,
    }


def clearance_form(hold: ExportHold) -> ClearanceForm:
    """The form for one image, with the rectangles that were found."""
    lines = "\n".join(" ".join(str(number) for number in region) for region in hold.regions)
    return ClearanceForm(prefix=str(hold.pk), initial={"regions": lines})


def read_decisions(export: Export, data: QueryDict) -> dict[UUID, list[Rectangle]]:
    """What was decided about which images; raises ExportHoldUnknown and
    RegionUnreadable.

    `clean` names images on which nothing is written, `blacken` one whose rectangles are given.
    """
    held = {str(pk): pk for pk in export.holds.values_list("pk", flat=True)}
    clean, blackened = data.getlist("clean"), data.getlist("blacken")
    if not set(clean + blackened) <= set(held):
        raise ExportHoldUnknown
    decisions: dict[UUID, list[Rectangle]] = {held[one]: [] for one in clean}
    for one in blackened:
        form = ClearanceForm(data, prefix=one)
        if not form.is_valid() or not form.cleaned_data["regions"]:
            raise RegionUnreadable
        decisions[held[one]] = form.cleaned_data["regions"]
    return decisions
