"""Every write of the accounts app: who acts comes first, and each leaves one audit event."""

from accounts.services.attempts import sweep_attempts
from accounts.services.departments import (
    create_department,
    rename_department,
    set_default_issuer,
)
from accounts.services.devices import remember_device
from accounts.services.kept_answers import forget_answers
from accounts.services.mailing import send_waiting_mails
from accounts.services.notices import acknowledge_notices, forget_notices
from accounts.services.passwords import (
    change_password,
    issue_password_link,
    request_password_reset,
    set_password,
    set_password_through_link,
)
from accounts.services.people import deactivate_user, invite_user, reactivate_user, update_user
from accounts.services.proposals import accept_proposal, decline_proposal
from accounts.services.refusals import flush_refusals, note_refusal
from accounts.services.searches import recall_search, remember_search, sweep_searches
from accounts.services.sessions import (
    end_sessions,
    expire_sessions,
    find_open_session,
    note_closed_session,
    touch_session,
)
from accounts.services.sign_in import confirm_password, count_bad_token, sign_in_user
from accounts.services.sums import Proof
from accounts.services.tallies import tell_tallies
from accounts.services.tokens import (
    authenticate_token,
    issue_token,
    refused_token,
    revoke_token,
)

__all__ = [
    "Proof",
    "accept_proposal",
    "acknowledge_notices",
    "authenticate_token",
    "change_password",
    "confirm_password",
    "count_bad_token",
    "create_department",
    "deactivate_user",
    "decline_proposal",
    "end_sessions",
    "expire_sessions",
    "find_open_session",
    "flush_refusals",
    "forget_answers",
    "forget_notices",
    "invite_user",
    "issue_password_link",
    "issue_token",
    "note_closed_session",
    "note_refusal",
    "reactivate_user",
    "recall_search",
    "refused_token",
    "remember_device",
    "remember_search",
    "rename_department",
    "set_default_issuer",
    "request_password_reset",
    "revoke_token",
    "send_waiting_mails",
    "set_password",
    "set_password_through_link",
    "sign_in_user",
    "sweep_attempts",
    "sweep_searches",
    "tell_tallies",
    "touch_session",
    "update_user",
]
