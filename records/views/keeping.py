"""What keeps studies and what takes them away: deletion, legal holds, and the state of storage."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views import View
from django.views.generic import FormView, TemplateView

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.errors import KnownError
from accounts.forms import as_validation_error
from accounts.reads import NOTHING, told_by
from accounts.roles import Verb
from records.accesses import record_list_read
from records.choices import Action
from records.forms import DeletedStudyFilterForm, HoldForm, ReasonForm
from records.models import Instance, LegalHold, QuarantinedFile, Study, UnreferencedFile
from records.services import delete_study, hold_study, lift_hold, restore_study
from records.services.storage import describe_storage
from records.views.lists import RecordedListView

DAMAGED_SHOWN = 100
UNREFERENCED_SHOWN = 20


class StudyDeleteView(VerbRequiredMixin, FormView):
    """Asks why, and takes the study out of sight."""

    verb = Verb.STUDY_DELETE
    reads = told_by(Action.STUDY_VIEWED)
    form_class = ReasonForm
    template_name = "records/study_confirm_delete.html"

    def study(self) -> Study:
        """The study, where the person sees it and may delete it."""
        user = signed_in_user(self.request)
        visible = Study.objects.visible_to(user).with_listing().with_holds()
        study = get_object_or_404(visible, pk=self.kwargs["pk"])
        if not user.has_verb_in(self.verb, study.department_id):
            raise PermissionDenied
        return study

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Name what is about to go."""
        study = self.study()
        actor = signed_in_user(self.request)
        record_access(action=Action.STUDY_VIEWED, actor=actor, target=study, study=study)
        return super().get_context_data(study=study, **kwargs)

    def form_valid(self, form: ReasonForm) -> HttpResponse:
        """Delete it, or say what stands against it."""
        actor = signed_in_user(self.request)
        try:
            delete_study(actor=actor, study=self.study(), **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, "The study was deleted. It can be restored for a while.")
        return redirect("records:deleted-study-list")


class DeletedStudyListView(RecordedListView):
    """Deleted studies that can still be restored, the latest first."""

    verb = Verb.STUDY_DELETE
    reads = told_by(Action.STUDIES_SEARCHED)
    filter_form_class = DeletedStudyFilterForm
    template_name = "records/deleted_study_list.html"
    rows_template_name = "records/_deleted_study_rows.html"
    rows_name = "studies"
    list_action = Action.STUDIES_SEARCHED
    place = "deleted-study-list"
    key = ("-deleted_at", "-id")

    def find_rows(self) -> QuerySet[Study]:
        """What the person may restore."""
        found = Study.objects.restorable_by(signed_in_user(self.request))
        rows = found.with_listing().with_holds()
        return rows.select_related("patient", "department", "deleted_by")


class StudyRestoreView(VerbRequiredMixin, View):
    """Brings a deleted study back."""

    verb = Verb.STUDY_DELETE
    reads = NOTHING

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Restore it and show it, or say why not."""
        user = signed_in_user(request)
        study = get_object_or_404(Study.objects.restorable_by(user), pk=pk)
        try:
            restore_study(actor=user, study=study)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("records:deleted-study-list")
        messages.success(request, "The study was restored.")
        return redirect(study)


class HoldListView(VerbRequiredMixin, FormView):
    """The legal holds that stand, and the form for another: of patients, the UIDs of studies."""

    verb = Verb.STUDY_HOLD
    reads = told_by(Action.HOLDS_VIEWED)
    form_class = HoldForm
    template_name = "records/hold_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather the holds."""
        user = signed_in_user(self.request)
        holds = list(LegalHold.objects.visible_to(user).standing().with_listing())
        record_list_read(actor=user, action=Action.HOLDS_VIEWED, place="hold-list", rows=holds)
        return super().get_context_data(holds=holds, **kwargs)

    def form_valid(self, form: HoldForm) -> HttpResponse:
        """Place it on every study that is meant."""
        try:
            holds = hold_study(
                actor=signed_in_user(self.request),
                given=form.cleaned_data["study"],
                reason=form.cleaned_data["reason"],
            )
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        count = len(holds)
        words = "The study is held." if count == 1 else f"{count} studies are held."
        messages.success(self.request, words)
        return redirect("records:hold-list")


class HoldLiftView(VerbRequiredMixin, FormView):
    """Asks why, and ends a hold."""

    verb = Verb.STUDY_HOLD
    reads = told_by(Action.HOLDS_VIEWED)
    form_class = ReasonForm
    template_name = "records/hold_confirm_lift.html"

    def hold(self) -> LegalHold:
        """The hold that the address names."""
        holds = LegalHold.objects.visible_to(signed_in_user(self.request)).with_listing()
        return get_object_or_404(holds, pk=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Name the hold."""
        hold, actor = self.hold(), signed_in_user(self.request)
        record_access(action=Action.HOLDS_VIEWED, actor=actor, target=hold, study=hold.study)
        return super().get_context_data(hold=hold, **kwargs)

    def form_valid(self, form: ReasonForm) -> HttpResponse:
        """Lift it."""
        actor = signed_in_user(self.request)
        try:
            lift_hold(actor=actor, hold=self.hold(), **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, "The hold was lifted.")
        return redirect("records:hold-list")


class StorageView(VerbRequiredMixin, TemplateView):
    """How much is stored, how whole it is, and what is due to go. Names studies by UID alone."""

    verb = Verb.STUDY_HOLD
    reads = told_by(Action.STORAGE_VIEWED)
    template_name = "records/storage_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Count, and list what is damaged."""
        damaged = Instance.objects.damaged().select_related("series__study__department")
        apart = QuarantinedFile.objects.held().damaged().select_related("submission__department")
        shown = list(damaged.order_by("-checked_at", "pk")[:DAMAGED_SHOWN])
        actor = signed_in_user(self.request)
        record_list_read(actor=actor, action=Action.STORAGE_VIEWED, place="storage", rows=shown)
        return super().get_context_data(
            storage=describe_storage(),
            damaged=shown,
            damaged_apart=apart.order_by("-checked_at", "pk")[:DAMAGED_SHOWN],
            unreferenced=UnreferencedFile.objects.all()[:UNREFERENCED_SHOWN],
            **kwargs,
        )
