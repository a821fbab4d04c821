"""The rows of the accounts app."""

from accounts.models.audit import Action, AuditEvent, Outcome
from accounts.models.people import Department, Membership, User
from accounts.models.tallies import ReadTally
from accounts.models.tokens import ApiToken

__all__ = [
    "Action",
    "ApiToken",
    "AuditEvent",
    "Department",
    "Membership",
    "Outcome",
    "ReadTally",
    "User",
]
