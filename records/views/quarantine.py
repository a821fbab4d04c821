"""Files that are kept apart: administrators see hashes, the department's people the bytes."""

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.parameters import takes
from accounts.reads import told_by
from accounts.roles import Verb
from records.accesses import record_quarantine_view
from records.choices import Action
from records.forms import QuarantineFilterForm, ReasonForm
from records.models import QuarantinedFile
from records.responses import quarantined_response
from records.services import discard_quarantined
from records.views.lists import RecordedListView


class QuarantineListView(RecordedListView):
    """Files that contradict what is held, newest first."""

    verb = Verb.QUARANTINE_MANAGE
    reads = told_by(Action.QUARANTINE_VIEWED)
    filter_form_class = QuarantineFilterForm
    template_name = "records/quarantine_list.html"
    rows_template_name = "records/_quarantine_rows.html"
    rows_name = "files"
    list_action = Action.QUARANTINE_VIEWED
    place = "quarantine-list"
    key = ("-created_at", "-id")

    def find_rows(self) -> QuerySet[QuarantinedFile]:
        """Whatever is kept apart."""
        return QuarantinedFile.objects.visible_to(signed_in_user(self.request)).with_listing()


class QuarantineView(VerbRequiredMixin, View):
    """One quarantined file."""

    verb = Verb.QUARANTINE_MANAGE

    def file_of(self, pk: UUID) -> QuarantinedFile:
        """Return it; 404 for any other."""
        visible = QuarantinedFile.objects.visible_to(signed_in_user(self.request))
        return get_object_or_404(visible.with_listing(), pk=pk)


class QuarantineOfDepartmentView(QuarantineListView):
    """The same for people of the departments that the files were sent to, with their bytes."""

    verb = Verb.CONFLICT_RESOLVE
    place = "quarantine-of-department"

    def find_rows(self) -> QuerySet[QuarantinedFile]:
        """Those of the person's own departments."""
        return QuarantinedFile.objects.readable_by(signed_in_user(self.request)).with_listing()


class QuarantineDownloadView(VerbRequiredMixin, View):
    """The bytes themselves, for people of the department, each time recorded."""

    verb = Verb.CONFLICT_RESOLVE
    reads = told_by(Action.IMAGE_DOWNLOADED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Stream them, or say that they are gone."""
        user = signed_in_user(request)
        readable = QuarantinedFile.objects.readable_by(user).with_listing()
        file = get_object_or_404(readable, pk=pk)
        try:
            return quarantined_response(user, file)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("records:quarantine-of-department")


class QuarantineDiscardView(QuarantineView):
    """Give a file up for good, with a reason."""

    reads = told_by(Action.QUARANTINE_VIEWED)
    posted = takes(form=ReasonForm)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for the reason."""
        return self._draw(self.file_of(pk), ReasonForm())

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Discard it, or say in place what is wrong."""
        file, form = self.file_of(pk), ReasonForm(request.POST)
        if not form.is_valid():
            return self._draw(file, form)
        try:
            reason = form.cleaned_data["reason"]
            discard_quarantined(actor=signed_in_user(request), file=file, reason=reason)
        except KnownError as error:
            form.add_error(None, f"{error.message} {error.action}")
            return self._draw(file, form)
        messages.success(request, "The file was discarded; its hashes and your reason stay.")
        return redirect("records:quarantine-list")

    def _draw(self, file: QuarantinedFile, form: ReasonForm) -> HttpResponse:
        record_quarantine_view(signed_in_user(self.request), file)
        context = {"file": file, "form": form}
        status = 422 if form.is_bound else 200
        return render(self.request, "records/quarantine_discard.html", context, status=status)
