"""Which state of a thing an answer shows, so that nobody fetches it twice or decides on an old one.

The tag is a hash of what the answer says, so it changes with everything that is shown.
"""

import hashlib
from typing import Any

from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from accounts.errors import ChangedMeanwhile

PAGE_LINKS = ("next", "previous")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def tag_of(data: Any) -> str:
    """Return the entity tag of an answer: strong, but weak for a page of a list.

    The links of a page are written anew for every answer; that there is a next page counts.
    """
    is_page = isinstance(data, dict) and "results" in data
    if is_page:
        data = {name: bool(value) if name in PAGE_LINKS else value for name, value in data.items()}
    digest = hashlib.blake2b(JSONRenderer().render(data), digest_size=16).hexdigest()
    return f'W/"{digest}"' if is_page else f'"{digest}"'


def is_known(tag: str, *, given: str) -> bool:
    """Whether an `If-None-Match` names this tag; weak and strong ones are compared alike."""
    known = {one.removeprefix("W/") for one in parse_etags(given)}
    return bool(known & {"*", tag.removeprefix("W/")})


def check_unchanged(request: Request, data: Any) -> None:
    """Raise ChangedMeanwhile where `If-Match` names another state than `data` shows.

    `*` asks for no more than that there is something, which the caller knows.
    """
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return
    if tag_of(data) not in parse_etags(given):
        raise ChangedMeanwhile


class Editable:
    """A view set of things that are decided about: `If-Match` is held against each one's answer."""

    request: Any

    def describe(self, row: Any) -> Any:
        """What `retrieve` answers about a row."""
        return self.get_serializer(row).data  # type: ignore[attr-defined]  # a view set's

    def get_object(self) -> Any:
        """Find the row; raises ChangedMeanwhile if the caller has seen another state of it."""
        row = super().get_object()  # type: ignore[misc]  # a view set's, after this in its bases
        if self.request.method not in SAFE_METHODS and "If-Match" in self.request.headers:
            check_unchanged(self.request, self.describe(row))
        return row
