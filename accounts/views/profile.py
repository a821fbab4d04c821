"""One's own page: roles and API tokens."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View
from django.views.generic import FormView, TemplateView

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.forms import TokenForm, as_validation_error
from accounts.models import ApiToken, User
from accounts.reads import NOTHING
from accounts.roles import Verb
from accounts.services import issue_token, revoke_token

PROFILE_TEMPLATE = "accounts/profile_detail.html"


def profile_context(user: User) -> dict[str, Any]:
    """What the profile page shows."""
    return {"memberships": user.memberships_held, "tokens": user.api_tokens.all()}


class ProfileView(TemplateView):
    """Who one is here, and one's tokens. Open to everyone who has signed in."""

    reads = NOTHING

    template_name = PROFILE_TEMPLATE

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather one's own roles and tokens."""
        return super().get_context_data(**profile_context(signed_in_user(self.request)), **kwargs)


class TokenCreateView(VerbRequiredMixin, FormView):
    """A new token of one's own, whose value is shown once.

    The value is drawn straight into the answer: a redirect would have to keep it in the
    session, and so in the database.
    """

    verb = Verb.TOKEN_OWN
    reads = NOTHING
    form_class = TokenForm
    template_name = "accounts/token_form.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Offer one's own permissions."""
        return super().get_form_kwargs() | {"verbs": signed_in_user(self.request).verbs}

    def form_valid(self, form: TokenForm) -> HttpResponse:
        """Issue the token and show its value."""
        user = signed_in_user(self.request)
        try:
            token, value = issue_token(actor=user, user=user, **form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        context = profile_context(user) | {"new_token": token, "new_token_value": value}
        return render(self.request, PROFILE_TEMPLATE, context)


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
