"""A secret that is shown on the next page and never again, and that no table holds meanwhile.

It is split in two by a random pad of its own length: one half waits in the session's row, the
other in the browser's cookie. Either alone is noise.
"""

import binascii
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse

KEY = "accounts.once"
SECONDS = 60


def keep_once(request: HttpRequest, response: HttpResponse, secret: str) -> None:
    """Keep `secret` for the page that `response` leads to."""
    data = secret.encode()
    pad = secrets.token_bytes(len(data))
    request.session[KEY] = _xor(data, pad).hex()
    response.set_cookie(
        settings.ONCE_COOKIE_NAME,
        pad.hex(),
        max_age=SECONDS,
        secure=settings.BEHIND_TLS,
        httponly=True,
        samesite="Strict",
    )


def take_once(request: HttpRequest) -> str:
    """Return the secret that waits for this page, and keep it no longer; else an empty text."""
    half = request.session.pop(KEY, "")
    try:
        data, pad = (
            bytes.fromhex(half),
            bytes.fromhex(request.COOKIES.get(settings.ONCE_COOKIE_NAME, "")),
        )
        return _xor(data, pad).decode() if len(data) == len(pad) else ""
    except (ValueError, binascii.Error):
        return ""


def forget_once(response: HttpResponse) -> None:
    """Have the browser drop its half, if it was given one."""
    response.set_cookie(
        settings.ONCE_COOKIE_NAME,
        max_age=0,
        secure=settings.BEHIND_TLS,
        httponly=True,
        samesite="Strict",
    )


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
