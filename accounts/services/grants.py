"""Who gets a role at once, and whose role waits for a second administrator."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from accounts.audit import current_context, people_behind
from accounts.choices import ProposalState
from accounts.errors import OwnClinicalRole, RoleNeedsDepartment
from accounts.models import Department, Membership, RoleProposal, User
from accounts.roles import DEPARTMENT_ROLES, ROLES_FOR_TWO, Role

Grant = tuple[str, Department | None]
"""A role, and the department in which it is held (None for the whole hospital)."""

PUT_ASIDE_COUNTS = dt.timedelta(days=7)
"""How long an administrator whom another one put aside still counts as a second one."""


@dataclass
class Granting:
    """What became of roles that somebody was to get, in the words of the audit trail."""

    granted: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    proposed: list[str] = field(default_factory=list)

    def as_details(self) -> dict[str, list[str]]:
        """What the event of the change says about it."""
        said = {"proposed": self.proposed, "granted_alone": self.alone}
        return {name: roles for name, roles in said.items() if roles}


def grant_roles(*, actor: User | None, user: User, grants: Sequence[Grant]) -> Granting:
    """Give `user` what may be given at once, and propose the rest to another administrator.

    Roles of ROLES_FOR_TWO wait where there is a second administrator. The operator's command
    (no actor) grants at once. The caller holds the transaction and records the event.
    Raises RoleNeedsDepartment, OwnClinicalRole.
    """
    done = Granting()
    for role, department in dict.fromkeys(grants):
        _check_place(role, department)
    refuse_own_role(actor=actor, user=user, roles=[role for role, _ in grants])
    for role, department in dict.fromkeys(grants):
        if actor is not None and _waits_for_second(actor=actor, role=role):
            done.proposed += _propose(actor=actor, user=user, role=role, department=department)
            continue
        words = give_role(user=user, role=role, department=department)
        done.granted.append(words)
        if actor is not None and role in ROLES_FOR_TWO:
            done.alone.append(words)
    return done


def refuse_own_role(*, actor: User | None, user: User, roles: Iterable[str]) -> None:
    """Raise OwnClinicalRole where somebody would let an account of their own see patients.

    Whoever stands behind the session counts, and so does an account with the same e-mail address.
    """
    if actor is None or not DEPARTMENT_ROLES & set(roles):
        return
    acting = [actor, current_context().responsible]
    addresses = {person.email.casefold() for person in acting if person is not None} - {""}
    if user.pk in people_behind(actor) or user.email.casefold() in addresses:
        raise OwnClinicalRole


def give_role(*, user: User, role: str, department: Department | None) -> str:
    """Let `user` hold a role from now on, and return it in words; a proposal of it is over."""
    membership, _ = Membership.objects.get_or_create(user=user, role=role, department=department)
    waiting = RoleProposal.objects.filter(user=user, role=role, department=department)
    waiting.filter(state=ProposalState.WAITING).update(
        state=ProposalState.GRANTED, decided_at=timezone.now()
    )
    user.__dict__.pop("memberships_held", None)
    return str(membership)


def _check_place(role: str, department: Department | None) -> None:
    if role in DEPARTMENT_ROLES and department is None:
        raise RoleNeedsDepartment(role=Role(role).label, requirement="needs a department")
    if role not in DEPARTMENT_ROLES and department is not None:
        raise RoleNeedsDepartment(
            role=Role(role).label, requirement="is held for the whole hospital"
        )


def _waits_for_second(*, actor: User, role: str) -> bool:
    """Whether there is somebody else to ask; else nobody could ever be let in."""
    if role not in ROLES_FOR_TWO:
        return False
    if role == Role.ADMINISTRATOR:
        administrators = User.objects.administrators()
    else:  # putting the second one aside first must not help
        administrators = User.objects.administrators_since(timezone.now() - PUT_ASIDE_COUNTS)
    return bool(administrators.exclude(pk=actor.pk).exists())


def _propose(*, actor: User, user: User, role: str, department: Department | None) -> list[str]:
    """Propose a role, unless it waits already; return what is new, in words."""
    same = RoleProposal.objects.waiting().filter(user=user, role=role, department=department)
    if same.exists():
        return []
    proposal = RoleProposal.objects.create(
        user=user,
        role=role,
        department=department,
        proposed_by=actor,
        proposed_through=current_context().responsible,
    )
    return [str(proposal)]
