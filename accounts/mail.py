"""Mail to people about their own account."""

import logging
import smtplib

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

from accounts.models import User

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
    subject = " ".join(render_to_string("accounts/invitation_subject.txt", context).split())
    body = render_to_string("accounts/invitation_email.txt", context)
    try:
        send_mail(subject, body, None, [user.email])
    except (smtplib.SMTPException, OSError):
        logger.exception("The set-password link of user %s could not be mailed", user.pk)
        return False
    return True
