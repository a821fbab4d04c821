"""What the OpenAPI document says that can't be read from the code; loaded by `urls`."""

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes it."""

    target_class = "accounts.api.authentication.TokenAuthentication"
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Describe the header."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer mi_…`; `Token mi_…` is understood too.",
        }


class HeaderSessionScheme(SessionScheme):
    """The session's cookie, described as the framework's own."""

    target_class = "accounts.api.authentication.SessionAuthentication"
