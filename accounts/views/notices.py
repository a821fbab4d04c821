"""What everybody's pages say about their own account, and what waits for administrators."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import SimpleLazyObject
from django.views import View

from accounts.access import signed_in_user
from accounts.audit import current_context
from accounts.models import RoleProposal, User
from accounts.reads import NOTHING
from accounts.services import acknowledge_notices


class NoticesSeenView(View):
    """The person has read what was done to their account. Open to everyone who has signed in."""

    reads = NOTHING
    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Note it; the notices stay on the profile page."""
        acknowledge_notices(actor=signed_in_user(request))
        return redirect("accounts:profile")


def account_matters(request: HttpRequest) -> dict[str, object]:
    """Notices, who stands behind this session, and proposals that wait: asked for when shown."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {}
    return {
        "account_notices": SimpleLazyObject(lambda: list(user.notices.unseen().with_names())),
        "stands_behind": current_context().responsible,
        "proposals_waiting": SimpleLazyObject(
            lambda: RoleProposal.objects.visible_to(user).waiting().count()
        ),
    }
