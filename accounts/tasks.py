"""What the accounts app does by itself, now and then, or when a mail waits."""

from celery import shared_task

from accounts import services


@shared_task
def send_account_mail(row_id: str) -> None:
    """Send one mail about an account."""
    services.send_mail_row(row_id=row_id)


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
