"""Mail about accounts waits in rows, which workers send: no page waits for a mail server."""

from functools import partial

from django.conf import settings
from django.db import transaction

from accounts.audit import current_context
from accounts.choices import MailKind
from accounts.doorbell import ring
from accounts.models import AccountMail, User

TASK = "accounts.tasks.send_account_mails"
QUEUE = "housekeeping"
BELLS_AMONG_SWEEPS = 32
"""Sweeps ring in the same queue, and one of them sends what waits as well."""


def enqueue_mail(*, kind: MailKind, user: User | None = None, typed_email: str = "") -> None:
    """Have a worker send a mail once the caller's transaction is over; nothing without mail."""
    if not settings.MAIL_ENABLED:
        return
    context = current_context()
    AccountMail.objects.create(
        kind=kind,
        user=user,
        typed_email=typed_email,
        source_address=context.source_address,
        user_agent=context.user_agent,
        request_id=context.request_id,
    )
    transaction.on_commit(partial(ring, task=TASK, queue=QUEUE, at_most=BELLS_AMONG_SWEEPS))
