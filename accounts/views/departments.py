"""Administrators: the hospital's departments."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import FormView, TemplateView

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import DepartmentNameTaken
from accounts.forms import DepartmentForm, as_validation_error
from accounts.models import Department
from accounts.reads import NOTHING
from accounts.roles import Verb
from accounts.services import create_department, rename_department, set_default_issuer


class IssuerMixin:
    """Pages that set who issues a department's patient IDs."""

    request: HttpRequest

    def save_issuer(self, department: Department, form: DepartmentForm) -> None:
        """Set it, where it is another one."""
        issuer = form.cleaned_data["default_issuer"]
        if issuer != department.default_issuer:
            actor = signed_in_user(self.request)
            set_default_issuer(actor=actor, department=department, issuer=issuer)


class DepartmentListView(VerbRequiredMixin, TemplateView):
    """Every department, with the number of people in it."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    template_name = "accounts/department_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather them."""
        departments = Department.objects.with_counts()
        return super().get_context_data(department_list=departments, **kwargs)


class DepartmentCreateView(IssuerMixin, VerbRequiredMixin, FormView):
    """A new department."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    form_class = DepartmentForm
    template_name = "accounts/department_form.html"
    extra_context = {"title": "Add a department"}

    def form_valid(self, form: DepartmentForm) -> HttpResponse:
        """Create it."""
        try:
            department = create_department(
                actor=signed_in_user(self.request), name=form.cleaned_data["name"]
            )
        except DepartmentNameTaken as error:
            form.add_error("name", as_validation_error(error))
            return self.form_invalid(form)
        self.save_issuer(department, form)
        messages.success(self.request, f"The department {department} was added.")
        return redirect("accounts:department-list")


class DepartmentEditView(IssuerMixin, VerbRequiredMixin, FormView):
    """Another name or issuer for a department."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    form_class = DepartmentForm
    template_name = "accounts/department_form.html"
    extra_context = {"title": "Edit a department"}

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Keep the address's id: the row is looked up only after the permission."""
        super().setup(request, *args, **kwargs)
        self.pk = kwargs["pk"]

    def department(self) -> Department:
        """The department that the address names."""
        return get_object_or_404(Department, pk=self.pk)

    def get_initial(self) -> dict[str, Any]:
        """Start from the present values."""
        department = self.department()
        return {"name": department.name, "default_issuer": department.default_issuer}

    def form_valid(self, form: DepartmentForm) -> HttpResponse:
        """Rename it, and set its issuer, where these are others."""
        actor, department = signed_in_user(self.request), self.department()
        name = form.cleaned_data["name"].strip()
        try:
            if name != department.name:
                department = rename_department(actor=actor, department=department, name=name)
        except DepartmentNameTaken as error:
            form.add_error("name", as_validation_error(error))
            return self.form_invalid(form)
        self.save_issuer(department, form)
        messages.success(self.request, f"The department {department} was saved.")
        return redirect("accounts:department-list")
