"""Passwords: changed by their owner, or set through a link that works once."""

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.audit import record_event
from accounts.errors import PasswordLinkSpent, PersonInactive
from accounts.models import Action, Outcome, User


class PasswordLinks(PasswordResetTokenGenerator):
    """Django's tokens, which end with the next sign-in or password, and with deactivation."""

    key_salt = "accounts.services.passwords.PasswordLinks"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.session_generation}"


password_links = PasswordLinks()


def password_link_path(user: User) -> str:
    """Return the address at which `user` sets a password, once and for a limited time.

    The secret stands behind the #: browsers send that to no server, so it is in nobody's log.
    """
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = password_links.make_token(user)
    return f"{reverse('accounts:password-link')}#{uid}.{token}"


@transaction.atomic
def claim_password_link(*, user: User, token: str) -> None:
    """Hold `user` until the transaction ends, so that a link works once however many use it.

    Raises PasswordLinkSpent.
    """
    held = User.objects.select_for_update().get(pk=user.pk)
    if not held.is_active or not password_links.check_token(held, token):
        raise PasswordLinkSpent


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
def change_password(*, actor: User, password: str) -> User:
    """Replace the actor's own password, checked by the caller against the policy.

    Every other session of the actor ends, because sessions are bound to the password.
    """
    return _store_password(actor=actor, user=actor, password=password)


@transaction.atomic
def set_password(*, actor: User | None, user: User, password: str) -> User:
    """Set the first or a new password of `user`, through a link or from the command line."""
    return _store_password(actor=actor, user=user, password=password)


@transaction.atomic
def request_password_reset(*, actor: User | None, users: list[User]) -> None:
    """Note that somebody asked for reset links by e-mail, and whose; nobody's is a failure."""
    record_event(
        action=Action.PASSWORD_RESET_REQUESTED,
        actor=actor,
        target=users[0] if len(users) == 1 else None,
        outcome=Outcome.SUCCESS if users else Outcome.MINOR_FAILURE,
        details={"usernames": [user.username for user in users]},
    )


def _store_password(*, actor: User | None, user: User, password: str) -> User:
    user.set_password(password)
    user.save(update_fields=["password"])
    record_event(
        action=Action.PASSWORD_CHANGED,
        actor=actor,
        target=user,
        details={"username": user.username},
    )
    return user
