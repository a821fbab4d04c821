"""The second administrator's part: a proposed role is accepted or declined, once."""

from django.db import transaction
from django.utils import timezone

from accounts.audit import people_behind, record_event
from accounts.choices import Action, NoticeKind, ProposalState
from accounts.errors import PersonInactive, ProposalEnded, SecondPersonNeeded
from accounts.models import RoleProposal, User
from accounts.services.grants import give_role, refuse_own_role
from accounts.services.notices import tell_person


@transaction.atomic
def accept_proposal(*, actor: User, proposal: RoleProposal) -> RoleProposal:
    """Give the person the role that another administrator proposed.

    Raises ProposalEnded, SecondPersonNeeded, OwnClinicalRole, PersonInactive.
    """
    proposal = _take(proposal)
    if people_behind(actor) & proposal.people:
        raise SecondPersonNeeded
    user = User.objects.select_for_update(no_key=True).get(pk=proposal.user_id)
    if not user.is_active:
        raise PersonInactive(username=user.username)
    refuse_own_role(actor=actor, user=user, roles=[proposal.role])
    _decide(actor=actor, proposal=proposal, state=ProposalState.GRANTED)
    give_role(user=user, role=proposal.role, department=proposal.department)
    _record(action=Action.ROLE_GRANTED, actor=actor, proposal=proposal)
    tell_person(user=user, kind=NoticeKind.ROLES_CHANGED, by=actor)
    return proposal


@transaction.atomic
def decline_proposal(*, actor: User, proposal: RoleProposal) -> RoleProposal:
    """Let a proposed role be; whoever proposed it may take it back so. Raises ProposalEnded."""
    proposal = _take(proposal)
    _decide(actor=actor, proposal=proposal, state=ProposalState.DECLINED)
    _record(action=Action.ROLE_DECLINED, actor=actor, proposal=proposal)
    return proposal


def _take(proposal: RoleProposal) -> RoleProposal:
    """Return the proposal as it is now, locked: two people decide one after the other."""
    rows = RoleProposal.objects.select_for_update(of=("self",)).with_names()
    proposal = rows.get(pk=proposal.pk)
    if not proposal.is_waiting:
        raise ProposalEnded
    return proposal


def _decide(*, actor: User, proposal: RoleProposal, state: ProposalState) -> None:
    proposal.state, proposal.decided_by, proposal.decided_at = state, actor, timezone.now()
    proposal.save(update_fields=["state", "decided_by", "decided_at"])


def _record(*, action: Action, actor: User, proposal: RoleProposal) -> None:
    record_event(
        action=action,
        actor=actor,
        target=proposal.user,
        department_id=proposal.department_id,
        details={
            "username": proposal.user.username,
            "role": str(proposal),
            "proposed_by": str(proposal.proposed_by),
            "proposed_at": proposal.proposed_at.isoformat(),
        },
    )
