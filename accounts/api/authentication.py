"""The API's ways in: `Authorization: Token <value>` (or Bearer), or the session of a browser."""

import copy

from django.http import QueryDict
from rest_framework import authentication
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from accounts.access import mark_noted, view_name
from accounts.audit import bind_token
from accounts.choices import Action
from accounts.errors import CsrfTokenMissing
from accounts.models import ApiToken, User
from accounts.roles import Verb
from accounts.services import (
    authenticate_token,
    count_bad_token,
    note_refusal,
    refused_token,
)

KEYWORDS = (b"token", b"bearer")
REFUSAL = "The token is unknown, expired or revoked."


class TokenAuthentication(BaseAuthentication):
    """Act as the token's owner, with no more than the token's permissions."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the owner and the token; None where the request brings no token."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in KEYWORDS:
            return None
        value = words[1].decode("latin-1") if len(words) == 2 else ""
        token = authenticate_token(value)
        if token is None:
            _note_refused(request, value)
            raise AuthenticationFailed(REFUSAL)
        known = set(Verb)
        token.user.token_verbs = frozenset(Verb(scope) for scope in token.scopes if scope in known)
        token.user.token_department_id = token.department_id
        bind_token(token.pk, responsible=token.responsible)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme in WWW-Authenticate, which makes a refusal a 401."""
        return 'Bearer realm="api"'


def _note_refused(request: Request, value: str) -> None:
    """Note a token that opens nothing, by its id where it was one of ours."""
    mark_noted(request)
    token, reason = refused_token(value)
    owner = {"username": token.user.username} if token else {}
    count_bad_token()
    note_refusal(
        actor=None,
        kind=Action.TOKEN_REFUSED,
        target=token,
        what=view_name(request),
        details={"reason": reason, "view": view_name(request), **owner},
    )


class SessionAuthentication(authentication.SessionAuthentication):
    """A signed-in browser, which sends its form token in the header X-CSRFToken."""

    def enforce_csrf(self, request: Request) -> None:
        """Check the token without a look at the body; raises CsrfTokenMissing, and notes that.

        Django seeks the token in the form first. Here that would parse a body that may be
        gigabytes of images, before anybody knows whether it may come at all.
        """
        without_body = copy.copy(request._request)
        without_body.POST = QueryDict()
        try:
            super().enforce_csrf(without_body)  # type: ignore[arg-type]  # all that it reads is there
        except PermissionDenied as error:
            mark_noted(request)
            user = getattr(request, "_request", request).user
            actor = user if isinstance(user, User) else None
            note_refusal(actor=actor, kind=Action.FORM_REFUSED, what=view_name(request))
            raise CsrfTokenMissing from error
