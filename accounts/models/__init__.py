"""The rows of the accounts app."""

from accounts.models.audit import Action, AuditEvent, Outcome
from accounts.models.links import AccountNotice, NoticeKind, PasswordLink
from accounts.models.people import Department, Membership, User
from accounts.models.proposals import ProposalState, RoleProposal
from accounts.models.tokens import ApiToken

__all__ = [
    "AccountNotice",
    "Action",
    "ApiToken",
    "AuditEvent",
    "Department",
    "Membership",
    "NoticeKind",
    "Outcome",
    "PasswordLink",
    "ProposalState",
    "RoleProposal",
    "User",
]
