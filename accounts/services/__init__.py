"""Every write of the accounts app: who acts comes first, and each leaves one audit event."""

from accounts.services.departments import create_department, rename_department
from accounts.services.notices import acknowledge_notices
from accounts.services.passwords import (
    change_password,
    issue_password_link,
    request_password_reset,
    set_password,
    set_password_through_link,
)
from accounts.services.people import deactivate_user, invite_user, reactivate_user, update_user
from accounts.services.proposals import accept_proposal, decline_proposal
from accounts.services.sign_in import sign_in_user
from accounts.services.tokens import authenticate_token, issue_token, revoke_token

__all__ = [
    "accept_proposal",
    "acknowledge_notices",
    "authenticate_token",
    "change_password",
    "create_department",
    "deactivate_user",
    "decline_proposal",
    "invite_user",
    "issue_password_link",
    "issue_token",
    "reactivate_user",
    "rename_department",
    "request_password_reset",
    "revoke_token",
    "set_password",
    "set_password_through_link",
    "sign_in_user",
    "update_user",
]
