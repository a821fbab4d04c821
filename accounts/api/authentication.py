"""The API's own way in: `Authorization: Token <value>` (or Bearer)."""

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.audit import bind_token
from accounts.models import ApiToken, User
from accounts.roles import Verb
from accounts.services import authenticate_token

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
            raise AuthenticationFailed(REFUSAL)
        known = set(Verb)
        token.user.token_verbs = frozenset(Verb(scope) for scope in token.scopes if scope in known)
        bind_token(token.pk, responsible=token.responsible)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme in WWW-Authenticate, which makes a refusal a 401."""
        return 'Token realm="api"'
