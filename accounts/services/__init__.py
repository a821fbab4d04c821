"""Every write of the accounts app: who acts comes first, and each leaves one audit event."""

from accounts.services.departments import create_department, rename_department
from accounts.services.passwords import (
    change_password,
    issue_password_link,
    request_password_reset,
    set_password,
)
from accounts.services.people import deactivate_user, invite_user, reactivate_user, update_user
from accounts.services.sign_in import sign_in_user
from accounts.services.tallies import tell_tallies
from accounts.services.tokens import authenticate_token, issue_token, revoke_token

__all__ = [
    "authenticate_token",
    "change_password",
    "create_department",
    "deactivate_user",
    "invite_user",
    "issue_password_link",
    "issue_token",
    "reactivate_user",
    "rename_department",
    "request_password_reset",
    "revoke_token",
    "set_password",
    "sign_in_user",
    "tell_tallies",
    "update_user",
]
