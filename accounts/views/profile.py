"""One's own page: roles, sessions and API tokens."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views import View
from django.views.generic import FormView, TemplateView

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.forms import TokenForm, as_validation_error
from accounts.models import ApiToken
from accounts.once import forget_once, keep_once, take_once
from accounts.reads import NOTHING
from accounts.roles import Verb
from accounts.services import end_sessions, issue_token, revoke_token
from accounts.services.sessions import SESSION_ROW

MOST_NOTICES = 20


class ProfileView(TemplateView):
    """Who one is here, one's sessions and tokens. Open to everyone who has signed in."""

    reads = NOTHING
    template_name = "accounts/profile_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what is one's own."""
        user = signed_in_user(self.request)
        return super().get_context_data(
            memberships=user.memberships_held,
            tokens=user.api_tokens.all(),
            past_notices=user.notices.with_names()[:MOST_NOTICES],
            sessions=user.browser_sessions.open(),
            this_session=self.request.session.get(SESSION_ROW),
            **kwargs,
        )

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Draw the page; a token that was just made is shown this once."""
        value = take_once(request)
        response = self.render_to_response(self.get_context_data(new_token_value=value))
        forget_once(response)
        return response


class TokenCreateView(VerbRequiredMixin, FormView):
    """A new token of one's own, whose value is shown once."""

    verb = Verb.TOKEN_OWN
    reads = NOTHING
    form_class = TokenForm
    template_name = "accounts/token_form.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Offer one's own permissions and departments."""
        user = signed_in_user(self.request)
        offered = {"verbs": user.verbs, "departments": user.departments_held}
        return super().get_form_kwargs() | offered

    def form_valid(self, form: TokenForm) -> HttpResponse:
        """Issue the token, and show its value on the next page."""
        user = signed_in_user(self.request)
        try:
            _, value = issue_token(actor=user, user=user, **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        response = redirect("accounts:profile")
        keep_once(self.request, response, value)
        return response


class SessionEndView(View):
    """Ends one of one's own sessions."""

    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """End it; somebody else's is not found."""
        user = signed_in_user(request)
        session = get_object_or_404(user.browser_sessions, pk=pk)
        end_sessions(actor=user, user=user, only=session.pk)
        messages.success(request, "The session was ended.")
        return redirect("accounts:profile")


class OtherSessionsEndView(View):
    """Ends all of one's own sessions but the one in use."""

    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        """End them."""
        user = signed_in_user(request)
        ended = end_sessions(actor=user, user=user, keep=request.session.get(SESSION_ROW))
        messages.success(request, f"Other sessions ended: {ended}.")
        return redirect("accounts:profile")


class TokenRevokeView(VerbRequiredMixin, View):
    """Shuts a token: one's own, or anybody's for those who manage accounts."""

    verb = Verb.TOKEN_OWN
    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Revoke, and go back to where the token is listed."""
        user = signed_in_user(request)
        token = get_object_or_404(ApiToken.objects.visible_to(user), pk=pk)
        revoke_token(actor=user, token=token)
        messages.success(request, f"The token {token.name} was revoked.")
        if token.user_id == user.pk:
            return redirect("accounts:profile")
        return redirect("accounts:user-edit", token.user_id)
