"""Which department images go to: an administrator's rules, and moving a study that went wrong."""

from typing import Any
from uuid import UUID

from django.contrib import messages
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
from records.choices import Action
from records.forms import DepartmentRuleForm, MoveByUidForm, MoveForm
from records.models import DepartmentRule, Study
from records.services import add_rule, move_study, move_study_of, remove_rule, update_rule
from records.services.moving import departments_to_move_to


class RuleListView(VerbRequiredMixin, TemplateView):
    """Every rule, in the order in which they are asked."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    template_name = "records/department_rule_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather them."""
        rules = DepartmentRule.objects.visible_to(signed_in_user(self.request))
        return super().get_context_data(rules=rules.select_related("department"), **kwargs)


class RuleCreateView(VerbRequiredMixin, FormView):
    """A new rule."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    form_class = DepartmentRuleForm
    template_name = "records/department_rule_form.html"
    extra_context = {"title": "Add a rule"}

    def form_valid(self, form: DepartmentRuleForm) -> HttpResponse:
        """Add it."""
        try:
            add_rule(actor=signed_in_user(self.request), **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, "The rule was added. It counts from now on.")
        return redirect("records:department-rule-list")


class RuleEditView(VerbRequiredMixin, FormView):
    """Other values for a rule."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    form_class = DepartmentRuleForm
    template_name = "records/department_rule_form.html"
    extra_context = {"title": "Edit a rule"}

    def rule(self) -> DepartmentRule:
        """The rule that the address names."""
        rules = DepartmentRule.objects.visible_to(signed_in_user(self.request))
        return get_object_or_404(rules, pk=self.kwargs["pk"])

    def get_initial(self) -> dict[str, Any]:
        """Start from the present values."""
        return DepartmentRuleForm.initial_for(self.rule())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say which rule it is."""
        return super().get_context_data(rule=self.rule(), **kwargs)

    def form_valid(self, form: DepartmentRuleForm) -> HttpResponse:
        """Change it."""
        actor = signed_in_user(self.request)
        try:
            update_rule(actor=actor, rule=self.rule(), **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, "The rule was saved. It counts from now on.")
        return redirect("records:department-rule-list")


class RuleRemoveView(VerbRequiredMixin, View):
    """Asks a rule no more."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Remove it."""
        rule = get_object_or_404(DepartmentRule, pk=pk)
        remove_rule(actor=signed_in_user(request), rule=rule)
        messages.success(request, "The rule was removed. What it has sent somewhere stays there.")
        return redirect("records:department-rule-list")


class StudyMoveView(VerbRequiredMixin, FormView):
    """Asks where to and why, and moves a study; who can't see it is shown its UID alone."""

    verb = Verb.STUDY_MOVE
    reads = told_by(Action.STUDY_VIEWED)
    form_class = MoveForm
    template_name = "records/study_move.html"

    def study(self) -> Study:
        """The study, where the person may move it away."""
        movable = Study.objects.movable_by(signed_in_user(self.request)).with_listing()
        return get_object_or_404(movable, pk=self.kwargs["pk"])

    def get_form_kwargs(self) -> dict[str, Any]:
        """Offer the other departments."""
        study, offered = self.study(), departments_to_move_to(signed_in_user(self.request))
        others = [pk for pk in offered if pk != study.department_id]
        return super().get_form_kwargs() | {"department_ids": others}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Name what is about to go."""
        study, actor = self.study(), signed_in_user(self.request)
        record_access(action=Action.STUDY_VIEWED, actor=actor, target=study, study=study)
        is_seen = Study.objects.visible_to(actor).filter(pk=study.pk).exists()
        return super().get_context_data(study=study, is_seen=is_seen, **kwargs)

    def form_valid(self, form: MoveForm) -> HttpResponse:
        """Move it, or say what stands against it."""
        actor = signed_in_user(self.request)
        try:
            study = move_study(actor=actor, study=self.study(), **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, f"The study was moved to {study.department}.")
        is_seen = Study.objects.visible_to(actor).filter(pk=study.pk).exists()
        return redirect(study if is_seen else "records:study-move-by-uid")


class StudyMoveByUidView(VerbRequiredMixin, FormView):
    """The same for administrators, who look at no study: it is named by its UID."""

    verb = Verb.STUDY_MOVE
    reads = NOTHING
    form_class = MoveByUidForm
    template_name = "records/study_move_by_uid.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Offer the departments."""
        offered = departments_to_move_to(signed_in_user(self.request))
        return super().get_form_kwargs() | {"department_ids": offered}

    def form_valid(self, form: MoveByUidForm) -> HttpResponse:
        """Move it, or say what stands against it."""
        try:
            study = move_study_of(actor=signed_in_user(self.request), **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, f"The study was moved to {study.department}.")
        return redirect("records:study-move-by-uid")
