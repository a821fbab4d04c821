"""API tokens: issued for a limited time, shown once, kept as a hash, revoked for good."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.audit import current_context, record_event
from accounts.choices import Action
from accounts.errors import (
    AccountChanged,
    PersonInactive,
    TokenDepartmentNotHeld,
    TokenLifetimeInvalid,
    VerbNotHeld,
)
from accounts.models import ApiToken, Department, User
from accounts.roles import Verb

VALUE_PREFIX = "mi_"
VALUE_BYTES = 32
SHOWN_CHARACTERS = 9
MAX_DAYS = 365
USE_NOTED_EVERY = dt.timedelta(minutes=1)


@transaction.atomic
def issue_token(
    *,
    actor: User | None,
    user: User,
    name: str,
    days: int,
    scopes: Iterable[str] | None = None,
    parent: ApiToken | None = None,
    department: Department | None = None,
) -> tuple[ApiToken, str]:
    """Return a new token of `user` and its value, which can't be read again afterwards.

    Without `scopes` it may do all that `user` may do now: doors let people choose, the command
    line alone leaves it out. A token made with another (`parent`) ends with it at the latest and
    may do no more. One that is bound to a `department` acts in that one alone. Raises
    TokenLifetimeInvalid, VerbNotHeld, TokenDepartmentNotHeld, PersonInactive, AccountChanged.
    """
    if not 1 <= days <= MAX_DAYS:
        raise TokenLifetimeInvalid(maximum=MAX_DAYS, days=days)
    _lock_owner(user)
    held, expires_at = user.verbs, timezone.now() + dt.timedelta(days=days)
    if parent is not None:
        parent = _lock_parent(parent, user)
        held &= frozenset(Verb(scope) for scope in parent.scopes if scope in set(Verb))
        expires_at = min(expires_at, parent.expires_at)
    department_id = _bound_to(department, user, parent)
    chosen = sorted({str(verb) for verb in (held if scopes is None else scopes)})
    for verb in chosen:
        if verb not in held:
            raise VerbNotHeld(verb=verb)
    value = VALUE_PREFIX + secrets.token_urlsafe(VALUE_BYTES)
    token = ApiToken.objects.create(
        user=user,
        responsible=current_context().responsible,
        parent=parent,
        department_id=department_id,
        name=name.strip(),
        prefix=value[:SHOWN_CHARACTERS],
        digest=_digest(value),
        scopes=chosen,
        expires_at=expires_at,
    )
    record_event(
        action=Action.TOKEN_ISSUED,
        actor=actor,
        target=token,
        details={
            "name": token.name,
            "username": user.username,
            "scopes": chosen,
            "expires_at": token.expires_at.isoformat(),
            **({"parent": str(parent.pk)} if parent else {}),
            **({"department": str(department_id)} if department_id else {}),
        },
    )
    return token, value


@transaction.atomic
def revoke_token(*, actor: User | None, token: ApiToken) -> ApiToken:
    """Shut the token, and all that were made with it, at once and for good.

    Revoking twice changes and records nothing.
    """
    token = ApiToken.objects.select_for_update().get(pk=token.pk)
    if token.revoked_at is not None:
        return token
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    record_event(
        action=Action.TOKEN_REVOKED,
        actor=actor,
        target=token,
        details={
            "name": token.name,
            "username": token.user.username,
            "descendants": [str(pk) for pk in _revoke_descendants(token)],
        },
    )
    return token


def revoke_tokens_of(user: User) -> int:
    """Shut every token of a person, inside the caller's transaction; return how many."""
    live = user.api_tokens.filter(revoked_at__isnull=True)
    return live.update(revoked_at=timezone.now())


def _revoke_descendants(token: ApiToken) -> list[UUID]:
    """Shut what was made with `token`. A parent is locked while a child is made of it."""
    revoked: list[UUID] = []
    level = [token.pk]
    while level:
        children = ApiToken.objects.filter(parent__in=level).select_for_update()
        level = list(children.values_list("pk", flat=True))
        live = ApiToken.objects.filter(pk__in=level, revoked_at__isnull=True)
        revoked += live.values_list("pk", flat=True)
        live.update(revoked_at=timezone.now())
    return revoked


def _bound_to(department: Department | None, user: User, parent: ApiToken | None) -> UUID | None:
    """The department that a token is bound to: one of its owner's, and its parent's if that is."""
    bound = parent.department_id if parent else None
    if department is None:
        return bound
    if department not in user.departments_held or bound not in (None, department.pk):
        raise TokenDepartmentNotHeld(department=department)
    return department.pk


def _lock_owner(user: User) -> None:
    """Keep the account as it is until the token is there: what ends tokens waits, or has won."""
    stored = User.objects.select_for_update().get(pk=user.pk)
    if not stored.is_active:
        raise PersonInactive(username=user.username)
    if stored.get_session_auth_hash() != user.get_session_auth_hash():
        raise AccountChanged


def _lock_parent(parent: ApiToken, user: User) -> ApiToken:
    stored = ApiToken.objects.select_for_update().get(pk=parent.pk)
    if not stored.is_usable or stored.user_id != user.pk:
        raise AccountChanged
    return stored


def authenticate_token(value: str) -> ApiToken | None:
    """Return the usable token of that value with its owner, else None.

    Its last use is noted once a minute at most, so that busy clients don't write all the
    time; this isn't audited, what the token then does is.
    """
    tokens = ApiToken.objects.usable().select_related("user", "responsible")
    token = tokens.filter(digest=_digest(value)).first()
    if token is None:
        return None
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
        token.last_used_at = now
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def refused_token(value: str) -> tuple[ApiToken | None, str]:
    """Return why a value opens nothing, and the token that it once was, for the trail."""
    token = ApiToken.objects.select_related("user").filter(digest=_digest(value)).first()
    if token is None:
        return None, "unknown"
    if token.revoked_at is not None:
        return token, "revoked"
    return token, "expired" if token.expires_at <= timezone.now() else "owner deactivated"


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
