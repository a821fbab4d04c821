"""Passwords: changed by their owner, or set through a link whose maker answers for its use."""

import datetime as dt
import hashlib

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.audit import current_context, record_event, standing_behind
from accounts.choices import Action, MailKind, NoticeKind, SessionEnd
from accounts.errors import AccountChanged, PasswordLinkEnded, PersonInactive, TooManyRequests
from accounts.models import PasswordLink, User, UserSession
from accounts.services.attempts import count_attempt, network_in_hand
from accounts.services.mails import enqueue_mail
from accounts.services.notices import tell_person
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


def password_link_path(user: User, *, issued_by: User | None) -> str:
    """Return the address at which `user` sets a password, once and for a limited time.

    The secret stands behind the #: browsers send that to no server, so it is in nobody's log.
    Whoever stands behind the issuer's own session answers for the link in their place.
    """
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = password_links.make_token(user)
    issuer = (current_context().responsible or issued_by) if issued_by else None
    PasswordLink.objects.create(user=user, issued_by=issuer, digest=_digest(token))
    return f"{reverse('accounts:password-link')}#{uid}.{token}"


@transaction.atomic
def issue_password_link(*, actor: User | None, user: User) -> str:
    """Return a set-password link for an administrator to hand over. Raises PersonInactive.

    The person is told at once; until the link is used, their old password holds.
    """
    if not user.is_active:
        raise PersonInactive(username=user.username)
    record_event(
        action=Action.PASSWORD_LINK_ISSUED,
        actor=actor,
        target=user,
        details={"username": user.username},
    )
    tell_person(user=user, kind=NoticeKind.LINK_MADE, by=actor)
    return password_link_path(user, issued_by=actor)


@transaction.atomic
def change_password(*, actor: User, password: str, keep_session: str | None = None) -> User:
    """Replace the actor's own password, checked by the caller against the policy.

    Every other session of the actor and every API token ends. Sessions that begin with the new
    password are the person's own; the one in hand stays what it was. Raises AccountChanged.
    """
    responsible = current_context().responsible
    if responsible is not None:
        tell_person(user=actor, kind=NoticeKind.PASSWORD_CHANGED, by=responsible)
    return _store_password(actor=actor, user=actor, password=password, keep_session=keep_session)


@transaction.atomic
def set_password(*, actor: User | None, user: User, password: str) -> User:
    """Set the first or a new password of `user`, from the command line for instance.

    Set by another person, it is that person who answers for what is done with it. All sessions and
    API tokens of `user` end. Raises AccountChanged.
    """
    through = actor if actor is not None and actor.pk != user.pk else None
    if through is not None:
        tell_person(user=user, kind=NoticeKind.PASSWORD_SET, by=through)
    return _store_password(actor=actor, user=user, password=password, through=through)


@transaction.atomic
def set_password_through_link(*, user: User, token: str, password: str) -> User:
    """Set the password of `user` through a link, which works once. Raises PasswordLinkEnded.

    Nobody knows who follows a link, so whoever made it answers: an administrator who handed it
    over, or one who chose the address that it was mailed to. The person is told.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not user.is_active or not password_links.check_token(user, token):
        raise PasswordLinkEnded
    through = _redeem(user=user, digest=_digest(token))
    if through is not None:
        tell_person(user=user, kind=NoticeKind.PASSWORD_SET, by=through)
    with standing_behind(through):
        return _store_password(actor=user, user=user, password=password, through=through)


def request_password_reset(*, actor: User | None, email: str) -> None:
    """Take note that somebody wants a link mailed to `email`; a worker finds out whose it is.

    So the answer takes as long for an unknown address, and with the mail server down.
    Raises TooManyRequests for a network that asks again and again.
    """
    network = network_in_hand()
    if count_attempt(key=f"reset:{network}", window=RESET_WINDOW) > RESETS_PER_NETWORK:
        note_refusal(actor=actor, kind=Action.PASSWORD_RESET_REQUESTED, what=TooManyRequests.code)
        raise TooManyRequests(minutes=int(RESET_WINDOW / dt.timedelta(minutes=1)))
    enqueue_mail(kind=MailKind.RESET, typed_email=email)


def _redeem(*, user: User, digest: str) -> User | None:
    """Note that a link was used; return who answers for that, if it isn't the person."""
    link = PasswordLink.objects.of_secret(user=user, digest=digest).first()
    if link is None:
        raise PasswordLinkEnded
    link.redeemed_at, link.redeemed_from = timezone.now(), current_context().source_address
    link.save()
    return link.issued_by if link.issued_by_id != user.pk else None


def _store_password(
    *,
    actor: User | None,
    user: User,
    password: str,
    through: User | None = None,
    keep_session: str | None = None,
) -> User:
    stored = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if stored.get_session_auth_hash() != user.get_session_auth_hash():
        raise AccountChanged
    is_first = not user.has_usable_password()
    user.set_password(password)
    user.password_set_through = through
    user.save(update_fields=["password", "password_set_through"])
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
    if not is_first and through is None:  # a notice tells of what others do
        enqueue_mail(kind=MailKind.PASSWORD_CHANGED, user=user)
    return user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
