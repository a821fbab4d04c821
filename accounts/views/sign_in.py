"""In, out, and passwords: Django's own views, going through our forms and services."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpResponse
from django.urls import reverse_lazy

from accounts import forms
from accounts.models import User
from accounts.reads import NOTHING
from accounts.services.passwords import password_links


class SignInView(auth_views.LoginView):
    """User name and password; `next` only leads within this site."""

    reads = NOTHING

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

    reads = NOTHING


class PasswordChangeView(auth_views.PasswordChangeView):
    """A new password for oneself."""

    reads = NOTHING

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

    reads = NOTHING

    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset_email.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    form_class = forms.RequestResetForm
    token_generator = password_links
    success_url = reverse_lazy("accounts:password-reset-done")


class PasswordResetDoneView(auth_views.PasswordResetDoneView):
    """Says that mail is on its way, if the address is known."""

    reads = NOTHING

    template_name = "accounts/password_reset_done.html"


class PasswordResetConfirmView(auth_views.PasswordResetConfirmView):
    """Where a set-password link leads."""

    reads = NOTHING

    template_name = "accounts/password_reset_confirm.html"
    form_class = forms.SetPasswordForm
    token_generator = password_links
    success_url = reverse_lazy("accounts:password-reset-complete")

    def get_user(self, uidb64: str) -> User | None:
        """Return the link's owner, unless deactivated meanwhile."""
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active else None


class PasswordResetCompleteView(auth_views.PasswordResetCompleteView):
    """Says that the password is set, and leads to the sign-in page."""

    reads = NOTHING

    template_name = "accounts/password_reset_complete.html"
