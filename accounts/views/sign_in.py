"""In, out, and passwords: Django's own views, going through our forms and services."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
)
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from accounts import forms
from accounts.errors import KnownError, PasswordLinkEnded
from accounts.models import User
from accounts.parameters import takes
from accounts.reads import NOTHING
from accounts.services import remember_device
from accounts.services.passwords import password_links
from accounts.services.sessions import SESSION_ROW

LINK_OWNER = "password_link_owner"
"""In the session: whose set-password link was opened. Django keeps the link's token beside it."""


class SignInView(auth_views.LoginView):
    """User name and password; `next` only leads within this site."""

    reads = NOTHING
    parameters = takes("next")
    posted = takes("next", "challenge", "work")
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

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Let in, and know this browser again."""
        response = super().form_valid(form)
        return know_again(response, form.get_user())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Say what was wrong; 429 where nobody looked at the password."""
        response = super().form_invalid(form)
        refusal = form.refusal if isinstance(form, forms.SignInForm) else None
        return refuse_for_now(response, refusal) if refusal else response


def know_again(response: HttpResponse, user: User) -> HttpResponse:
    """Give the browser what tells it from strangers' at the next sign-in."""
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        remember_device(user=user),
        max_age=settings.DEVICE_COOKIE_AGE,
        secure=settings.BEHIND_TLS,
        httponly=True,
        samesite="Lax",
    )
    return response


def refuse_for_now(response: HttpResponse, error: KnownError) -> HttpResponse:
    """Mark a page as a refusal that waiting helps against."""
    response.status_code = error.status
    response["Retry-After"] = str(error.retry_after)
    return response


class SignOutView(auth_views.LogoutView):
    """Ends the session; by POST only, as Django has it."""

    reads = NOTHING


class PasswordChangeView(auth_views.PasswordChangeView):
    """A new password for oneself."""

    reads = NOTHING
    template_name = "accounts/password_change.html"
    form_class = forms.ChangePasswordForm
    success_url = reverse_lazy("accounts:profile")

    def get_form_kwargs(self) -> dict[str, Any]:
        """Say which session is to go on."""
        kept = self.request.session.get(SESSION_ROW)
        return super().get_form_kwargs() | {"keep_session": kept}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Change it, keep this session, end the others and the tokens."""
        try:
            response = super().form_valid(form)
        except KnownError as error:
            form.add_error(None, forms.as_validation_error(error))
            return self.form_invalid(form)
        messages.success(
            self.request,
            "Your password was changed. Other sessions and your API tokens have ended.",
        )
        return know_again(response, form.user)


class PasswordResetView(auth_views.PasswordResetView):
    """Asks for an e-mail address."""

    reads = NOTHING
    template_name = "accounts/password_reset.html"
    form_class = forms.RequestResetForm
    success_url = reverse_lazy("accounts:password-reset-done")

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        """Take note; the same for everybody, whoever has that address."""
        try:
            form.save()
        except KnownError as error:
            form.add_error(None, forms.as_validation_error(error))
            return refuse_for_now(self.form_invalid(form), error)
        return redirect(self.get_success_url())


class PasswordResetDoneView(auth_views.PasswordResetDoneView):
    """Says that mail is on its way, if the address is known."""

    reads = NOTHING
    template_name = "accounts/password_reset_done.html"


@method_decorator(
    [login_not_required, sensitive_post_parameters("link"), never_cache], name="dispatch"
)
class OpenPasswordLinkView(FormView):
    """Where a set-password link leads: its secret comes in a form, never in an address."""

    reads = NOTHING
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

    reads = NOTHING
    template_name = "accounts/password_reset_confirm.html"
    form_class = forms.SetPasswordForm
    token_generator = password_links
    success_url = reverse_lazy("accounts:password-reset-complete")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Take the link from the session, as Django does with the token."""
        owner = request.session.get(LINK_OWNER, "")
        return super().dispatch(request, uidb64=owner, token=self.reset_url_token)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Hand the form the secret of the link, which the session keeps meanwhile."""
        token = self.request.session.get(auth_views.INTERNAL_RESET_SESSION_TOKEN, "")
        return super().get_form_kwargs() | {"token": token}

    def get_user(self, uidb64: str) -> User | None:
        """Return the link's owner, unless deactivated meanwhile."""
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active else None

    def form_valid(self, form: "SetPasswordForm[User]") -> HttpResponse:
        """Set it, unless somebody else was faster with the same link."""
        try:
            response = super().form_valid(form)
        except PasswordLinkEnded:
            self.validlink = False
            return self.render_to_response(self.get_context_data())
        except KnownError as error:
            form.add_error(None, forms.as_validation_error(error))
            return self.form_invalid(form)
        del self.request.session[LINK_OWNER]
        return response


class PasswordResetCompleteView(auth_views.PasswordResetCompleteView):
    """Says that the password is set, and leads to the sign-in page."""

    reads = NOTHING
    template_name = "accounts/password_reset_complete.html"
