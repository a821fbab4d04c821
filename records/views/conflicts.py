"""The queue of identity conflicts, and the page on which a person decides one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.errors import KnownError
from accounts.models import User
from accounts.parameters import fields_of, takes
from accounts.reads import told_by
from accounts.roles import Verb
from records.accesses import record_held_view, record_picture
from records.choices import Action, ConflictKind, Resolution
from records.dicom.names import display_name
from records.errors import ConflictResolved
from records.files.pixels import render_png
from records.forms import RESOLUTION_FORMS, ConflictFilterForm, make_resolution_forms
from records.models import IdentityConflict, Instance, Patient, Study
from records.responses import PRIVATE, refusal_response
from records.services import resolve_conflict, reverse_resolution
from records.views.lists import RecordedListView

WORDS_OF = {
    Resolution.MERGE: "Decided: the same person.",
    Resolution.KEEP_APART: "Decided: another person.",
    Resolution.CORRECT: "Decided: corrected.",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of what is held beside what was sent."""

    label: str
    held: str
    sent: str
    is_hidden: bool

    @property
    def differs(self) -> bool:
        """Tell whether both sides say something, and not the same."""
        return bool(not self.is_hidden and self.held and self.sent and self.held != self.sent)


class ConflictListView(RecordedListView):
    """What waits for a decision in the person's departments, newest first."""

    verb = Verb.CONFLICT_RESOLVE
    reads = told_by(Action.CONFLICTS_VIEWED)
    filter_form_class = ConflictFilterForm
    template_name = "records/conflict_list.html"
    rows_template_name = "records/_conflict_rows.html"
    rows_name = "conflicts"
    list_action = Action.CONFLICTS_VIEWED
    place = "conflict-list"
    key = ("-raised_at", "-id")

    def find_rows(self) -> QuerySet[IdentityConflict]:
        """What the person may see."""
        visible = IdentityConflict.objects.visible_to(signed_in_user(self.request))
        return visible.with_listing()


class ConflictView(VerbRequiredMixin, View):
    """One conflict of the person's departments."""

    verb = Verb.CONFLICT_RESOLVE
    reads = told_by(Action.CONFLICTS_VIEWED)

    def conflict_of(self, pk: UUID) -> IdentityConflict:
        """Return it; 404 for any other."""
        visible = IdentityConflict.objects.visible_to(signed_in_user(self.request))
        return get_object_or_404(visible.with_listing(), pk=pk)

    def draw(
        self, conflict: IdentityConflict, forms_: Mapping[str, forms.Form] | None = None
    ) -> HttpResponse:
        """Draw the page, with the forms as they were filled in if one was refused."""
        user = signed_in_user(self.request)
        study = conflict.study
        record_access(action=Action.CONFLICTS_VIEWED, actor=user, target=conflict, study=study)
        is_held_visible = _is_held_in_sight(conflict)
        if is_held_visible:
            record_held_view(user, conflict)
        context = {
            "conflict": conflict,
            "comparisons": _compare(conflict, is_hidden=not is_held_visible),
            "is_held_visible": is_held_visible,
            "decisions": conflict.decisions.select_related("decided_by", "reversed_by"),
            "forms": forms_ or make_resolution_forms(conflict),
            "waiting": conflict.files.held(),
            **_pictures(user, conflict),
        }
        status = 422 if forms_ else 200
        return render(self.request, "records/conflict_detail.html", context, status=status)


class ConflictDetailView(ConflictView):
    """Held beside sent, what differs, and the three ways out."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the page."""
        return self.draw(self.conflict_of(pk))


class ConflictResolveView(ConflictView):
    """Take a decision."""

    posted = reduce(or_, map(fields_of, RESOLUTION_FORMS.values()), takes("resolution"))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Decide, or say in place what is wrong."""
        conflict = self.conflict_of(pk)
        given = request.POST.get("resolution", "")
        if given not in RESOLUTION_FORMS:
            messages.error(request, "Choose one of the three decisions.")
            return redirect(conflict)
        forms_ = make_resolution_forms(conflict, data=request.POST, chosen=given)
        form = forms_[given]
        if not form.is_valid():
            return self.draw(conflict, forms_)
        resolution = Resolution(given)
        try:
            resolve_conflict(
                actor=signed_in_user(request),
                conflict=conflict,
                resolution=resolution,
                **form.decision(),
            )
        except ConflictResolved as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect(conflict)
        except KnownError as error:
            form.add_error(None, f"{error.message} {error.action}")
            return self.draw(conflict, forms_)
        messages.success(request, WORDS_OF[resolution])
        return redirect(conflict)


class ConflictReverseView(ConflictView):
    """Take the decision back."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Reverse it, or say why that can't be."""
        conflict = self.conflict_of(pk)
        try:
            reverse_resolution(actor=signed_in_user(request), conflict=conflict)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        else:
            messages.success(request, "The decision was taken back; everything is as it was.")
        return redirect(conflict)


class ConflictPngView(ConflictView):
    """The first frame of a file that waits, for the one who has to decide about it."""

    reads = told_by(Action.IMAGE_VIEWED)

    def get(self, request: HttpRequest, pk: UUID, file_pk: UUID) -> HttpResponse:
        """Draw it; what can't be drawn says why in plain words."""
        conflict = self.conflict_of(pk)
        file = get_object_or_404(conflict.files.held(), pk=file_pk)
        try:
            picture = render_png(file.as_image())
        except KnownError as error:
            return refusal_response(error)
        record_picture(signed_in_user(request), picture, conflict.study)
        return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": PRIVATE})


def _is_held_in_sight(conflict: IdentityConflict) -> bool:
    return Patient.objects.in_sight_of(conflict).filter(pk=conflict.held_patient_id).exists()


def _compare(conflict: IdentityConflict, *, is_hidden: bool) -> list[Comparison]:
    held, sent, name = conflict.held_patient, conflict.sent, conflict.sent_name
    rows = (
        ("Patient ID", held.mrn, sent["patient_id"]),
        ("Issuer", held.issuer, sent["issuer"]),
        ("Name", display_name(held.name), display_name(name.alphabetic)),
        ("Ideographic name", display_name(held.ideographic_name), display_name(name.ideographic)),
        ("Phonetic name", display_name(held.phonetic_name), display_name(name.phonetic)),
        ("Birth date", str(held.birth_date or ""), sent["birth_date"]),
        ("Sex", held.get_sex_display() if held.sex else "", _sex_words(conflict)),
    )
    return [
        Comparison(label, "" if is_hidden else on_file, given, is_hidden)
        for label, on_file, given in rows
        if on_file or given
    ]


def _sex_words(conflict: IdentityConflict) -> str:
    return conflict.sent_sex if conflict.sent["sex"] else ""


def _pictures(user: User, conflict: IdentityConflict) -> dict[str, Any]:
    """The first image of either side, where the person may see one."""
    visible = Study.objects.visible_to(user).filter(department=conflict.department_id)
    if conflict.kind == ConflictKind.ELSEWHERE:
        return {"held_image": _first_image(visible.filter(pk=conflict.study_id).first())}
    if conflict.kind == ConflictKind.STUDY:
        file = conflict.files.held().filter(number_of_frames__gt=0).last()
        return {"held_image": _first_image(conflict.study), "sent_file": file}
    held = visible.filter(patient=conflict.held_patient).exclude(pk=conflict.study_id).first()
    sent = visible.filter(pk=conflict.study_id).first()
    return {"held_image": _first_image(held), "sent_image": _first_image(sent)}


def _first_image(study: Study | None) -> Instance | None:
    if study is None:
        return None
    images = Instance.objects.of_study(study).filter(number_of_frames__gt=0)
    first: Instance | None = images.first()
    return first
