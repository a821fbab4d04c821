"""In, out, and passwords: Django's own views, going through our forms and services."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from accounts import forms
from accounts.errors import PasswordLinkSpent
from accounts.models import User
from accounts.services.passwords import claim_password_link, password_links

LINK_OWNER = "password_link_owner"
"""In the session: whose set-password link was opened. Django keeps the link's token beside it."""


class SignInView(auth_views.LoginView):
    """User name and password; `next` only leads within this site."""

    template_name = "accounts/sign_in.html"
    authentication_form = forms.SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the demonstration accounts where there are any."""
        return super().get_context_data(
            demo_accounts=settings.DEMO_ACCOUNTS,
            can_reset_by_mail=settings.MAIL_ENABLED,
            **kwargs,
        )


class SignOutView(auth_views.LogoutView):
    """Ends the session; by POST only, as Django has it."""


class PasswordChangeView(auth_views.PasswordChangeView):
    """A new password for oneself."""

    template_name = "accounts/password_change.html"
    form_class = forms.ChangePasswordForm
    success_url = reverse_lazy("accounts:profile")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Change it, keep this session, end the others."""
        response = super().form_valid(form)
        messages.success(self.request, "Your password was changed. Other sessions have ended.")
        return response


class PasswordResetView(auth_views.PasswordResetView):
    """Asks for an e-mail address."""

    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset_email.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    form_class = forms.RequestResetForm
    token_generator = password_links
    success_url = reverse_lazy("accounts:password-reset-done")


class PasswordResetDoneView(auth_views.PasswordResetDoneView):
    """Says that mail is on its way, if the address is known."""

    template_name = "accounts/password_reset_done.html"


@method_decorator(
    [login_not_required, sensitive_post_parameters("link"), never_cache], name="dispatch"
)
class OpenPasswordLinkView(FormView):
    """Where a set-password link leads: its secret comes in a form, never in an address."""

    template_name = "accounts/password_link.html"
    form_class = forms.OpenLinkForm

    def get_success_url(self) -> str:
        """Name a place on the next page: without one, browsers carry the secret on to it."""
        return f"{reverse('accounts:password-reset-confirm')}#id_new_password1"

    def form_valid(self, form: forms.OpenLinkForm) -> HttpResponse:
        """Keep the link in a session that nobody knew before, and go on to the password."""
        session = self.request.session
        if not self.request.user.is_authenticated:
            session.cycle_key()
        owner, token = form.cleaned_data["link"]
        session[LINK_OWNER] = owner
        session[auth_views.INTERNAL_RESET_SESSION_TOKEN] = token
        return super().form_valid(form)


@method_decorator(login_not_required, name="dispatch")
class PasswordResetConfirmView(auth_views.PasswordResetConfirmView):
    """A new password for the owner of the link that was opened."""

    template_name = "accounts/password_reset_confirm.html"
    form_class = forms.SetPasswordForm
    token_generator = password_links
    success_url = reverse_lazy("accounts:password-reset-complete")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Take the link from the session, as Django does with the token."""
        owner = request.session.get(LINK_OWNER, "")
        return super().dispatch(request, uidb64=owner, token=self.reset_url_token)

    def get_user(self, uidb64: str) -> User | None:
        """Return the link's owner, unless deactivated meanwhile."""
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active else None

    @transaction.atomic
    def form_valid(self, form: "SetPasswordForm[User]") -> HttpResponse:
        """Set it, unless somebody else was faster with the same link."""
        token = self.request.session[auth_views.INTERNAL_RESET_SESSION_TOKEN]
        try:
            claim_password_link(user=form.user, token=token)
        except PasswordLinkSpent:
            self.validlink = False
            return self.render_to_response(self.get_context_data())
        del self.request.session[LINK_OWNER]
        return super().form_valid(form)


class PasswordResetCompleteView(auth_views.PasswordResetCompleteView):
    """Says that the password is set, and leads to the sign-in page."""

    template_name = "accounts/password_reset_complete.html"
