"""Sending the mail about accounts that waits in rows."""

import datetime as dt
import logging
import smtplib
import time
from uuid import UUID

from django.contrib.auth.forms import PasswordResetForm
from django.db import transaction
from django.utils import timezone

from accounts.audit import bind_request_context, record_event
from accounts.choices import Action, MailKind
from accounts.hashing import keyed_digest
from accounts.mail import mail_password_changed, mail_reset_link
from accounts.models import AccountMail, User
from accounts.services.attempts import count_attempt
from accounts.services.passwords import password_link_path
from accounts.services.refusals import note_refusal

logger = logging.getLogger(__name__)

MAILS_PER_HOUR = 3
GIVEN_UP_AFTER = dt.timedelta(hours=6)
HOUR = dt.timedelta(hours=1)
AT_ONCE = 100
SENDING_S = 20


def send_mail_row(*, row_id: UUID | str) -> bool:
    """Send one mail that waits, and note what went out; False where it has to wait longer.

    Done twice, it sends once: the row is locked meanwhile and gone afterwards.
    """
    with transaction.atomic():
        rows = AccountMail.objects.select_for_update(skip_locked=True).select_related(None)
        row = rows.filter(pk=row_id).first()
        if row is None:
            return True
        try:
            with bind_request_context(
                source_address=row.source_address,
                request_id=row.request_id,
                user_agent=row.user_agent,
            ):
                _send(row)
        except (smtplib.SMTPException, OSError):
            logger.exception("Mail %s (%s) could not be sent", row.pk, row.kind)
            transaction.set_rollback(True)
            return False
        row.delete()
    return True


def send_waiting_mails() -> int:
    """Send what waits, and give up on what is too old; return how many went.

    A mail server that keeps us waiting gets no more than SENDING_S at a time: sweeps wait behind.
    """
    AccountMail.objects.filter(created_at__lte=timezone.now() - GIVEN_UP_AFTER).delete()
    until = time.monotonic() + SENDING_S
    sent = 0
    for pk in AccountMail.objects.values_list("pk", flat=True)[:AT_ONCE]:
        if time.monotonic() > until:
            break
        sent += send_mail_row(row_id=pk)
    return sent


def _send(row: AccountMail) -> None:
    if row.kind == MailKind.PASSWORD_CHANGED:
        if row.user and row.user.is_active and row.user.email:
            mail_password_changed(user=row.user, at=row.created_at)
        return
    people: list[User] = list(PasswordResetForm().get_users(row.typed_email))
    if not people:
        note_refusal(actor=None, kind=Action.PASSWORD_RESET_REQUESTED, details={"usernames": []})
    for user in people:
        _send_reset(user)


def _send_reset(user: User) -> None:
    """Mail a link, three times an hour at most for one person and for one address."""
    address = keyed_digest(user.email.casefold(), purpose="accounts.mails.address")
    keys = (f"mail:{user.pk}", f"mail:{address}")
    if max(count_attempt(key=key, window=HOUR) for key in keys) > MAILS_PER_HOUR:
        note_refusal(
            actor=None,
            kind=Action.PASSWORD_RESET_REQUESTED,
            what=str(user.pk),
            details={"usernames": [user.username], "reason": "mailed often enough"},
        )
        return
    record_event(
        action=Action.PASSWORD_RESET_REQUESTED,
        actor=None,
        target=user,
        details={"usernames": [user.username]},
    )
    mail_reset_link(user=user, link=password_link_path(user, issued_by=user.email_set_by))
