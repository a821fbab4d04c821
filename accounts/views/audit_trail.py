"""Auditors and administrators: who did and saw what."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import TRAIL, record_trail_viewed
from accounts.audit_forms import AuditQuestionForm
from accounts.choices import Action, EventKind, Period
from accounts.deliveries import DeliveredBody, begin_delivery
from accounts.filters import FilterForm
from accounts.models import AuditEvent
from accounts.reads import told_by
from accounts.roles import Verb
from accounts.trail_csv import csv_lines
from accounts.views.lists import FilteredListView

ROWS_AT_A_TIME = 2000
PRESETS = (
    ("Last 24 hours", f"period={Period.DAY}"),
    ("Who looked at one patient or study", f"kind={EventKind.READS}"),
    ("What was changed", f"kind={EventKind.CHANGES}"),
    ("What was refused", f"kind={EventKind.REFUSALS}"),
)
"""Questions that auditors ask first, as filters."""


class AuditListView(FilteredListView):
    """The trail, newest first."""

    verb = Verb.AUDIT_VIEW
    reads = told_by(Action.AUDIT_VIEWED)
    filter_form_class = AuditQuestionForm
    template_name = "accounts/audit_list.html"
    rows_template_name = "accounts/_audit_rows.html"
    rows_name = "events"
    key = ("-id",)

    def find_rows(self) -> QuerySet[AuditEvent]:
        """What the person may see."""
        return AuditEvent.objects.visible_to(signed_in_user(self.request))

    def more_context(self, form: FilterForm, rows: QuerySet[Any]) -> dict[str, Any]:
        """Whom and what was asked about, in words."""
        subjects = form.subjects() if isinstance(form, AuditQuestionForm) else []
        return {"subjects": subjects, "presets": PRESETS}

    def after_reading(self, form: FilterForm, rows: Sequence[Any]) -> None:
        """Reading the trail is in the trail."""
        asked = form if isinstance(form, AuditQuestionForm) and form.is_bound else None
        record_trail_viewed(
            actor=signed_in_user(self.request),
            filters=asked.used() if asked else {},
            count=len(rows),
            searched=asked.terms() if asked else (),
        )


class AuditExportView(VerbRequiredMixin, View):
    """The same rows as a CSV file, streamed."""

    verb = Verb.AUDIT_EXPORT
    reads = told_by(Action.AUDIT_EXPORTED)
    filter_form_class = AuditQuestionForm
    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Note the export, then send it."""
        form = AuditQuestionForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Nothing was exported: one of the filters isn't valid.")
            return redirect("accounts:audit-list")
        actor = signed_in_user(request)
        delivery = begin_delivery(
            action=Action.AUDIT_EXPORTED,
            actor=actor,
            target_id=TRAIL,
            details={"filters": form.used()},
            searched=form.terms(),
        )
        events = form.narrow(AuditEvent.objects.visible_to(actor))
        lines = csv_lines(delivery.counted_rows(events.iterator(chunk_size=ROWS_AT_A_TIME)))
        name = f"audit-trail-{timezone.localtime():%Y%m%d-%H%M%S}.csv"
        return StreamingHttpResponse(
            DeliveredBody((line.encode() for line in lines), delivery),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
