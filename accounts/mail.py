"""Mail to people about their own account."""

import logging
import smtplib
from collections.abc import Mapping

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

from accounts.models import AccountNotice, User

logger = logging.getLogger(__name__)

SECONDS_PER_DAY = 24 * 60 * 60


def link_valid_days() -> int:
    """How long a set-password link works."""
    return settings.PASSWORD_RESET_TIMEOUT // SECONDS_PER_DAY


def mail_password_link(*, user: User, link: str) -> bool:
    """Send `user` the link to set a password; tell whether it went out.

    A mail server that is absent or down is no reason to refuse an invitation: the
    administrator has the link on the screen.
    """
    if not (settings.MAIL_ENABLED and user.email):
        return False
    context = {
        "full_name": user.full_name,
        "username": user.username,
        "link": link,
        "valid_days": link_valid_days(),
    }
    return _send("invitation", context, user=user, to=user.email)


def mail_notice(*, notice: AccountNotice, to: str) -> bool:
    """Tell a person by mail what was done to their account; tell whether it went out.

    The notice waits on the person's page too, so a mail server that is down loses nothing.
    """
    if not settings.MAIL_ENABLED:
        return False
    context = {"notice": notice}
    return _send("notice", context, user=notice.user, to=to)


def _send(template: str, context: Mapping[str, object], *, user: User, to: str) -> bool:
    subject = " ".join(render_to_string(f"accounts/{template}_subject.txt", context).split())
    body = render_to_string(f"accounts/{template}_email.txt", context)
    try:
        send_mail(subject, body, None, [to])
    except (smtplib.SMTPException, OSError):
        logger.exception("Mail to user %s could not be sent", user.pk)
        return False
    return True
