"""Administrators: roles that wait for a second one of them."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views import View
from django.views.generic import TemplateView

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import people_behind
from accounts.errors import KnownError
from accounts.models import RoleProposal
from accounts.reads import NOTHING
from accounts.roles import Verb
from accounts.services import accept_proposal, decline_proposal


class RoleProposalListView(VerbRequiredMixin, TemplateView):
    """What waits, oldest first."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    template_name = "accounts/role_proposal_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather them, each with whether this person may be the second."""
        user = signed_in_user(self.request)
        acting = people_behind(user)
        waiting = RoleProposal.objects.visible_to(user).waiting().with_names()
        rows = [(proposal, not acting & proposal.people) for proposal in waiting]
        return super().get_context_data(rows=rows, **kwargs)


class RoleProposalDecisionView(VerbRequiredMixin, View):
    """One decision about one proposal."""

    verb = Verb.ACCOUNT_MANAGE
    reads = NOTHING
    http_method_names = ("post",)

    def decide(self, proposal: RoleProposal) -> str:
        """Do it, and return what to say. Raises KnownError."""
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Decide, or say why not."""
        visible = RoleProposal.objects.visible_to(signed_in_user(request))
        proposal = get_object_or_404(visible, pk=pk)
        try:
            messages.success(request, self.decide(proposal))
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        return redirect("accounts:role-proposal-list")


class RoleProposalAcceptView(RoleProposalDecisionView):
    """The second administrator says yes."""

    def decide(self, proposal: RoleProposal) -> str:
        """Give the role."""
        proposal = accept_proposal(actor=signed_in_user(self.request), proposal=proposal)
        return f"{proposal.user} is now {proposal}."


class RoleProposalDeclineView(RoleProposalDecisionView):
    """Somebody says no, or takes a proposal back."""

    def decide(self, proposal: RoleProposal) -> str:
        """Let it be."""
        proposal = decline_proposal(actor=signed_in_user(self.request), proposal=proposal)
        return f"{proposal} was not given to {proposal.user}."
