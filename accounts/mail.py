"""Mail to people about their own account."""

import datetime as dt
import logging
import smtplib
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

from accounts.models import AccountNotice, User

logger = logging.getLogger(__name__)

SECONDS_PER_DAY = 24 * 60 * 60


def link_valid_days() -> int:
    """How long a set-password link works."""
    return settings.PASSWORD_RESET_TIMEOUT // SECONDS_PER_DAY


def at_site(link: str) -> str:
    """Put our own address before a path: where mail leads is never what a request says."""
    site, given = urlsplit(settings.SITE_URL), urlsplit(link)
    return urlunsplit((site.scheme, site.netloc, given.path, given.query, given.fragment))


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
        "link": at_site(link),
        "valid_days": link_valid_days(),
    }
    return _try("invitation", user, context, to=user.email)


def mail_notice(*, notice: AccountNotice, to: str) -> bool:
    """Tell a person by mail what was done to their account; tell whether it went out.

    The notice waits on the person's page too, so a mail server that is down loses nothing.
    """
    if not settings.MAIL_ENABLED:
        return False
    return _try("notice", notice.user, {"notice": notice}, to=to)


def mail_reset_link(*, user: User, link: str) -> None:
    """Send `user` the link that somebody asked for. Raises SMTPException, OSError."""
    context = {
        "username": user.username,
        "link": at_site(link),
        "valid_days": link_valid_days(),
    }
    _mail("password_reset", context, to=user.email)


def mail_password_changed(*, user: User, at: dt.datetime) -> None:
    """Tell `user` that the password was changed. Raises SMTPException, OSError."""
    context = {"username": user.username, "at": at, "site": settings.SITE_URL}
    _mail("password_changed", context, to=user.email)


def _try(about: str, user: User, context: Mapping[str, object], *, to: str) -> bool:
    try:
        _mail(about, context, to=to)
    except (smtplib.SMTPException, OSError):
        logger.exception("Mail to user %s could not be sent", user.pk)
        return False
    return True


def _mail(about: str, context: Mapping[str, object], *, to: str) -> None:
    subject = " ".join(render_to_string(f"accounts/{about}_subject.txt", context).split())
    body = render_to_string(f"accounts/{about}_email.txt", context)
    send_mail(subject, body, None, [to])
