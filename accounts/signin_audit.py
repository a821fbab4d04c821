"""Sign-ins, failed ones and sign-outs go to the audit trail, through Django's own signals."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from accounts.audit import record_event, standing_behind
from accounts.models import Action, Outcome, User
from accounts.standing import mark_session


def connect() -> None:
    """Listen to Django's authentication signals; connecting twice changes nothing."""
    user_logged_in.connect(record_sign_in, dispatch_uid="accounts.signin_audit.in")
    user_login_failed.connect(record_failed_sign_in, dispatch_uid="accounts.signin_audit.failed")
    user_logged_out.connect(record_sign_out, dispatch_uid="accounts.signin_audit.out")


def record_sign_in(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Note who came in, and mark the session where somebody else stands behind the password."""
    mark_session(request.session, user=user)
    with standing_behind(user.password_set_through):
        record_event(action=Action.SIGNED_IN, actor=user, target=user)


def record_failed_sign_in(*, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Note the name that was tried, never the password: the throttle counts these rows."""
    record_event(
        action=Action.SIGN_IN_FAILED,
        actor=None,
        target_id=str(credentials.get("username", "")).lower(),
        outcome=Outcome.MINOR_FAILURE,
    )


def record_sign_out(*, user: User | None, **kwargs: Any) -> None:
    """Note who left; a session that had already ended belongs to nobody."""
    if user is not None:
        record_event(action=Action.SIGNED_OUT, actor=user, target=user)
