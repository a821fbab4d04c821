"""Sign-ins, failed ones and sign-outs go to the audit trail, through Django's own signals."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from accounts.audit import record_event, standing_behind
from accounts.choices import Action
from accounts.models import User
from accounts.services.sessions import SESSION_ROW, close_session, open_session
from accounts.services.sign_in import note_failed_sign_in
from accounts.standing import mark_session


def connect() -> None:
    """Listen to Django's authentication signals; connecting twice changes nothing."""
    user_logged_in.connect(record_sign_in, dispatch_uid="accounts.signin_audit.in")
    user_login_failed.connect(record_failed_sign_in, dispatch_uid="accounts.signin_audit.failed")
    user_logged_out.connect(record_sign_out, dispatch_uid="accounts.signin_audit.out")


def record_sign_in(*, user: User, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Note who came in, open the session's row, and mark it with who stands behind the password."""
    session = getattr(request, "session", None)
    with standing_behind(user.password_set_through):
        if session is None:  # signed in without a browser
            record_event(action=Action.SIGNED_IN, actor=user, target=user)
            return
        mark_session(session, user=user)
        if session.session_key is None:  # somebody else's session was thrown away for this one
            session.save()
        row = open_session(actor=user, session_key=session.session_key)
    session[SESSION_ROW] = str(row.pk)


def record_failed_sign_in(*, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Note that somebody failed, never the password."""
    note_failed_sign_in(username=str(credentials.get("username", "")))


def record_sign_out(*, user: User | None, request: HttpRequest | None = None, **kw: Any) -> None:
    """Note who left; a session that had already ended belongs to nobody."""
    if user is not None:
        session = getattr(request, "session", {})
        close_session(actor=user, row_id=session.get(SESSION_ROW))
