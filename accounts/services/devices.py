"""Browsers in which a person has signed in before, by a signed cookie of their own."""

import secrets

from django.core import signing

from accounts.models import User

SALT = "accounts.services.devices"
KEPT_SECONDS = 365 * 24 * 60 * 60
BOUND_TO = 16
"""So many characters of the hash that changes with the password and on deactivation."""


def remember_device(*, user: User) -> str:
    """Return what this browser shows at its next sign-in as `user`; it opens nothing."""
    bound = user.get_session_auth_hash()[:BOUND_TO]
    return signing.dumps([str(user.pk), secrets.token_hex(8), bound], salt=SALT)


def recognise_device(*, user: User | None, value: str) -> str | None:
    """Return the browser's id if it is one of this person's, else None."""
    if user is None or not value:
        return None
    try:
        owner, device, bound = signing.loads(value, salt=SALT, max_age=KEPT_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if owner != str(user.pk) or bound != user.get_session_auth_hash()[:BOUND_TO]:
        return None
    return str(device)
