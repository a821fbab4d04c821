"""Administrators: the files that are kept apart. Identifiers and hashes, no clinical data."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.deliveries import begin_delivery, file_answer
from accounts.errors import KnownError
from accounts.models import Action, User
from accounts.reads import told_by
from accounts.roles import Verb
from records.errors import QuarantineEnded
from records.forms import QuarantineFilterForm, ReasonForm
from records.models import QuarantinedFile, QuarantineState, Study
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

    def find_rows(self, filters: dict[str, Any]) -> QuerySet[QuarantinedFile]:
        """Narrow them; without a filter, those still in quarantine."""
        rows = QuarantinedFile.objects.visible_to(signed_in_user(self.request)).with_listing()
        state = filters.get("state") or QuarantineState.HELD
        return rows if state == "all" else rows.filter(state=state)


class QuarantineView(VerbRequiredMixin, View):
    """One quarantined file."""

    verb = Verb.QUARANTINE_MANAGE

    def file_of(self, pk: UUID) -> QuarantinedFile:
        """Return it; 404 for any other."""
        visible = QuarantinedFile.objects.visible_to(signed_in_user(self.request))
        return get_object_or_404(visible.with_listing(), pk=pk)


class QuarantineDownloadView(QuarantineView):
    """The bytes themselves, each time recorded."""

    reads = told_by(Action.IMAGE_DOWNLOADED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Stream them, or say that they are gone."""
        try:
            return quarantined_response(signed_in_user(request), self.file_of(pk))
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("records:quarantine-list")


class QuarantineDiscardView(QuarantineView):
    """Give a file up for good, with a reason."""

    reads = told_by(Action.QUARANTINE_VIEWED)

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


def record_quarantine_view(user: User, file: QuarantinedFile) -> None:
    """Note that somebody saw a file's identifiers."""
    record_access(
        action=Action.QUARANTINE_VIEWED,
        actor=user,
        target=file,
        study=_study_of(file),
        department_id=file.submission.department_id,
    )


def _study_of(file: QuarantinedFile) -> Study | None:
    """The study that the file contradicts, where that is known."""
    if file.conflict is not None:
        return file.conflict.study
    return Study.objects.filter(study_instance_uid=file.study_instance_uid).first()


def quarantined_response(user: User, file: QuarantinedFile) -> StreamingHttpResponse:
    """Stream a quarantined file under its UID, and record it; raises QuarantineEnded."""
    if not file.file:
        raise QuarantineEnded
    content = file.file.open("rb")
    delivery = begin_delivery(
        action=Action.IMAGE_DOWNLOADED,
        actor=user,
        target=file,
        study=_study_of(file),
        department_id=file.submission.department_id,
        details={"sha256": file.sha256},
    )
    return file_answer(
        content,
        delivery,
        size=file.size_bytes,
        filename=f"{file.sop_instance_uid}.dcm",
        content_type="application/dicom",
    )
