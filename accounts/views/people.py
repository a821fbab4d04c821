"""Administrators: people, their roles, who may come in."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View
from django.views.generic import FormView

from accounts import services
from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError, UsernameTaken
from accounts.filters import FilterForm
from accounts.forms import (
    DEPARTMENT_ROLE_FIELDS,
    InviteForm,
    UserFilterForm,
    UserForm,
    as_validation_error,
)
from accounts.mail import link_valid_days, mail_password_link
from accounts.models import User
from accounts.parameters import takes
from accounts.reads import NOTHING
from accounts.roles import Verb
from accounts.views.lists import FilteredListView


class UserListView(FilteredListView):
    """Everybody, by user name."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    filter_form_class = UserFilterForm
    template_name = "accounts/user_list.html"
    rows_template_name = "accounts/_user_rows.html"
    rows_name = "users"
    key = ("username", "id")

    def find_rows(self) -> QuerySet[User]:
        """Everybody, with their roles."""
        return User.objects.with_memberships()

    def more_context(self, form: FilterForm, rows: QuerySet[User]) -> dict[str, Any]:
        """Count: a hospital has thousands of people, not millions."""
        return {"total": rows.count()}


class UserInviteView(VerbRequiredMixin, FormView):
    """A new person, who sets the password through a link."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    form_class = InviteForm
    posted = takes(repeatable=DEPARTMENT_ROLE_FIELDS.values())
    template_name = "accounts/user_form.html"
    extra_context = {"title": "Invite a person"}

    def form_valid(self, form: InviteForm) -> HttpResponse:
        """Open the account and show the link."""
        try:
            user, path = services.invite_user(
                actor=signed_in_user(self.request),
                username=form.cleaned_data["username"],
                full_name=form.cleaned_data["full_name"],
                email=form.cleaned_data["email"],
                memberships=form.memberships(),
            )
        except KnownError as error:
            field = "username" if isinstance(error, UsernameTaken) else None
            form.add_error(field, as_validation_error(error))
            return self.form_invalid(form)
        return show_password_link(self.request, user=user, path=path)


class UserEditView(VerbRequiredMixin, FormView):
    """A person's name, e-mail and roles."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    form_class = UserForm
    posted = takes(repeatable=DEPARTMENT_ROLE_FIELDS.values())
    template_name = "accounts/user_form.html"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Keep the address's id: the person is looked up only after the permission."""
        super().setup(request, *args, **kwargs)
        self.pk = kwargs["pk"]

    def edited_user(self) -> User:
        """The person whom the address names."""
        return get_object_or_404(User, pk=self.pk)

    def get_initial(self) -> dict[str, Any]:
        """Start from what is stored."""
        return UserForm.initial_for(self.edited_user())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the person and the tokens they hold."""
        user = self.edited_user()
        return super().get_context_data(
            edited_user=user, title=str(user), tokens=user.api_tokens.all(), **kwargs
        )

    def form_valid(self, form: UserForm) -> HttpResponse:
        """Store the changes."""
        try:
            user = services.update_user(
                actor=signed_in_user(self.request),
                user=self.edited_user(),
                full_name=form.cleaned_data["full_name"],
                email=form.cleaned_data["email"],
                memberships=form.memberships(),
            )
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, f"{user} was saved.")
        say_what_waits(self.request, user)
        return redirect("accounts:user-list")


class UserDeactivateView(VerbRequiredMixin, View):
    """Asks, then shuts the person out."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Ask."""
        edited_user = get_object_or_404(User, pk=pk)
        context = {"edited_user": edited_user}
        return render(request, "accounts/user_confirm_deactivate.html", context)

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Do it."""
        user = get_object_or_404(User, pk=pk)
        try:
            services.deactivate_user(actor=signed_in_user(request), user=user)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("accounts:user-edit", pk)
        messages.success(request, f"{user} was deactivated. Sessions and tokens have ended.")
        return redirect("accounts:user-list")


class UserReactivateView(VerbRequiredMixin, View):
    """Lets the person in again."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Do it: nothing is lost by it, so nothing is asked."""
        user = get_object_or_404(User, pk=pk)
        try:
            services.reactivate_user(actor=signed_in_user(request), user=user)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("accounts:user-edit", pk)
        messages.success(request, f"{user} can sign in again.")
        say_what_waits(request, user)
        return redirect("accounts:user-edit", pk)


class UserSessionsEndView(VerbRequiredMixin, View):
    """Signs a person out everywhere."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """End all sessions; tokens and the account stay."""
        user = get_object_or_404(User, pk=pk)
        ended = services.end_sessions(actor=signed_in_user(request), user=user)
        messages.success(request, f"Sessions of {user} ended: {ended}.")
        return redirect("accounts:user-edit", pk)


class PasswordLinkView(VerbRequiredMixin, View):
    """A set-password link for somebody who forgot the password or missed the invitation."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Make the link and show it."""
        user = get_object_or_404(User, pk=pk)
        try:
            path = services.issue_password_link(actor=signed_in_user(request), user=user)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
            return redirect("accounts:user-edit", pk)
        return show_password_link(request, user=user, path=path)


def say_what_waits(request: HttpRequest, user: User) -> None:
    """Tell the administrator which of the person's roles another one has to accept."""
    waiting = [str(row) for row in user.role_proposals.waiting().select_related("department")]
    if waiting:
        messages.info(request, f"Waits for another administrator: {', '.join(waiting)}.")


def show_password_link(request: HttpRequest, *, user: User, path: str) -> HttpResponse:
    """Mail the link where there is mail, and show it this once to the administrator."""
    link = request.build_absolute_uri(path)
    context = {
        "edited_user": user,
        "link": link,
        "mailed": mail_password_link(user=user, link=link),
        "valid_days": link_valid_days(),
    }
    say_what_waits(request, user)
    return render(request, "accounts/user_link.html", context)
