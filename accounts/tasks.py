"""What the accounts app does by itself, now and then, or when a mail waits."""

from celery import shared_task

from accounts import services


@shared_task
def send_account_mails() -> None:
    """Send the mail about accounts that waits."""
    services.send_waiting_mails()


@shared_task
def send_account_mail(row_id: str) -> None:
    """Take the bell of release 0.3, which named a mail, for what it is: a bell."""
    services.send_waiting_mails()


@shared_task
def sweep_accounts() -> None:
    """Tell what was counted, end sessions whose time is over, send mail, forget what is old."""
    services.tell_tallies()
    services.flush_refusals()
    services.expire_sessions()
    services.send_waiting_mails()
    services.sweep_attempts()
    services.forget_answers()
    services.sweep_searches()
    services.forget_notices()
