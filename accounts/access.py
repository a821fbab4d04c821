"""How views and the API ask for a permission: wrong role is 403, out of sight is 404."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.choices import Action
from accounts.models import User
from accounts.roles import Verb
from accounts.services import note_refusal

if TYPE_CHECKING:  # rest_framework.views itself loads this module, as the API's default
    from rest_framework.views import APIView

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"})


class VerbRequiredMixin(AccessMixin):
    """Refuse a view to people whose roles lack `verb`. Put it before the view's class."""

    verb: Verb

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Let through, send to the sign-in page, or refuse."""
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        if not request.user.has_verb(self.verb):
            record_refusal(actor=request.user, verb=self.verb, request=request)
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # a view's, after this in its bases


class HasVerb(BasePermission):
    """The API's default permission: signed in, and holding the view's verb.

    A view names one `verb`, or `verbs` by action (view sets) or method (plain views).
    A view that names none is refused to everyone, so that a forgotten one can't leak.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Tell whether the caller may use this view at all.

        A method that the view doesn't have needs no permission to be called so (405).
        """
        verb = self.verb_for(request, view)
        user = request.user
        if not user or not user.is_authenticated:
            return False
        if not hasattr(view, _method(request)):
            return True
        if verb and user.has_verb(verb):
            return True
        record_refusal(actor=user, verb=verb, request=request)
        return False

    @staticmethod
    def verb_for(request: Request, view: "APIView") -> Verb | None:
        """The permission that this action of the view asks for."""
        verbs = getattr(view, "verbs", {})
        action = getattr(view, "action", None)
        method = _method(request)
        by_method = verbs.get("get" if method == "head" else method)
        return verbs.get(action) or by_method or getattr(view, "verb", None)


def _method(request: Request) -> str:
    return (request.method or "").lower()


def signed_in_user(request: HttpRequest) -> User:
    """The person behind a request that a sign-in has already been asked of."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def record_refusal(*, actor: User, verb: Verb | None, request: HttpRequest | Request) -> None:
    """Note who was refused what: the view's name only, an address may hold a search."""
    mark_noted(request)
    note_refusal(
        actor=actor,
        kind=Action.ACCESS_REFUSED,
        what=view_name(request),
        details={"verb": verb or "", "method": known_method(request)},
    )


def known_method(request: HttpRequest | Request) -> str:
    """The method, where it is one of HTTP's: the trail keeps no word that a stranger made up."""
    return request.method if request.method in METHODS else ""


def mark_noted(request: HttpRequest | Request) -> None:
    """Tell the middleware that the trail knows already."""
    plain: Any = getattr(request, "_request", request)
    plain.is_refusal_noted = True


def view_name(request: HttpRequest | Request) -> str:
    """The name of the view that a request led to, if any."""
    match = request.resolver_match
    return match.view_name if match else ""
