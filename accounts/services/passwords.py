"""Passwords: changed by their owner, or set through a link that works once."""

import datetime as dt

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.audit import current_context, record_event
from accounts.errors import AccountChanged, PersonInactive, TooManyRequests
from accounts.models import Action, MailKind, SessionEnd, User, UserSession
from accounts.services.attempts import count_attempt, network_of
from accounts.services.mails import enqueue_mail
from accounts.services.refusals import note_refusal
from accounts.services.sessions import close_sessions
from accounts.services.tokens import revoke_tokens_of

RESET_WINDOW = dt.timedelta(hours=1)
RESETS_PER_NETWORK = 10


class PasswordLinks(PasswordResetTokenGenerator):
    """Django's tokens, which end with the next sign-in or password, and with deactivation."""

    key_salt = "accounts.services.passwords.PasswordLinks"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.session_generation}"


password_links = PasswordLinks()


def password_link_path(user: User) -> str:
    """Return the address at which `user` sets a password, once and for a limited time."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = password_links.make_token(user)
    return reverse("accounts:password-reset-confirm", args=[uid, token])


@transaction.atomic
def issue_password_link(*, actor: User | None, user: User) -> str:
    """Return a set-password link for an administrator to hand over. Raises PersonInactive."""
    if not user.is_active:
        raise PersonInactive(username=user.username)
    record_event(
        action=Action.PASSWORD_LINK_ISSUED,
        actor=actor,
        target=user,
        details={"username": user.username},
    )
    return password_link_path(user)


@transaction.atomic
def change_password(*, actor: User, password: str, keep_session: str | None = None) -> User:
    """Replace the actor's own password, checked by the caller against the policy.

    Every other session of the actor and every API token ends. Raises AccountChanged.
    """
    return _store_password(actor=actor, user=actor, password=password, keep_session=keep_session)


@transaction.atomic
def set_password(*, actor: User | None, user: User, password: str) -> User:
    """Set the first or a new password of `user`, through a link or from the command line.

    All sessions and API tokens of `user` end. Raises AccountChanged, so that of two who use one
    link at once only one sets a password.
    """
    return _store_password(actor=actor, user=user, password=password)


def request_password_reset(*, actor: User | None, email: str) -> None:
    """Take note that somebody wants a link mailed to `email`; a worker finds out whose it is.

    So the answer takes as long for an unknown address, and with the mail server down.
    Raises TooManyRequests for a network that asks again and again.
    """
    network = network_of(current_context().source_address)
    if count_attempt(key=f"reset:{network}", window=RESET_WINDOW) > RESETS_PER_NETWORK:
        note_refusal(actor=actor, kind=Action.PASSWORD_RESET_REQUESTED, what=TooManyRequests.code)
        raise TooManyRequests(minutes=int(RESET_WINDOW / dt.timedelta(minutes=1)))
    enqueue_mail(kind=MailKind.RESET, typed_email=email)


def _store_password(
    *, actor: User | None, user: User, password: str, keep_session: str | None = None
) -> User:
    stored = User.objects.select_for_update().get(pk=user.pk)
    if stored.get_session_auth_hash() != user.get_session_auth_hash():
        raise AccountChanged
    is_first = not user.has_usable_password()
    user.set_password(password)
    user.save(update_fields=["password"])
    rows = UserSession.objects.filter(user=user)
    ended = close_sessions(
        rows.exclude(pk=keep_session) if keep_session else rows, reason=SessionEnd.PASSWORD
    )
    record_event(
        action=Action.PASSWORD_CHANGED,
        actor=actor,
        target=user,
        details={
            "username": user.username,
            "tokens_revoked": revoke_tokens_of(user),
            "sessions_ended": len(ended),
        },
    )
    if not is_first:
        enqueue_mail(kind=MailKind.PASSWORD_CHANGED, user=user)
    return user
