"""The number of this release, in one place."""

from django.http import HttpRequest

VERSION = "0.4.0"


def tell_release(request: HttpRequest) -> dict[str, str]:
    """What templates say of it: only to people who are signed in."""
    return {"release_number": VERSION}
