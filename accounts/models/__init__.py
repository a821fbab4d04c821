"""The rows of the accounts app."""

from accounts.models.audit import AuditEvent
from accounts.models.kept_answers import KeptAnswer
from accounts.models.limits import Attempts, RefusalTally
from accounts.models.links import AccountNotice, PasswordLink
from accounts.models.mails import AccountMail
from accounts.models.people import Department, Membership, User
from accounts.models.proposals import RoleProposal
from accounts.models.searches import RecentSearch
from accounts.models.sessions import UserSession
from accounts.models.tallies import ReadTally
from accounts.models.tokens import ApiToken

__all__ = [
    "AccountMail",
    "AccountNotice",
    "ApiToken",
    "Attempts",
    "AuditEvent",
    "Department",
    "KeptAnswer",
    "Membership",
    "PasswordLink",
    "ReadTally",
    "RecentSearch",
    "RefusalTally",
    "RoleProposal",
    "User",
    "UserSession",
]
